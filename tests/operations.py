"""Each operation of a client over a mock transport, with secrets that no crash report may have."""

import asyncio
import traceback
from types import FrameType
from typing import Any

import attrs
import httpx
import pytest
from conftest import Kind, key
from crashes import CARD, NUMBER, SECRET_TOKEN, crash_report, frames, leaks, pem_of, secrets_of
from wonder_payment import WonderClient, WonderError

FIELDS = {"token_type": "CreditCard", "token": SECRET_TOKEN, "default": True, "credit_card": CARD}
ORDER = "the caller's order 4711"

each_operation = pytest.mark.parametrize("operation", ["check", "wait", "batch"])


def body(state: str = "success") -> dict[str, Any]:
    return {"code": 0, "message": "", "data": {"payment_token": FIELDS | {"state": state}}}


@attrs.define
class Call:
    """Makes each of the operations with one of the clients, over a mock transport.

    Attributes:
        kind: The client.
        operation: check, wait or batch.
        responses: Statuses, or states of the token; the last one comes again and again.
        requests: What was sent.
    """

    kind: Kind
    operation: str
    responses: list[int | str] = attrs.field(factory=lambda: ["success"])
    requests: list[httpx.Request] = attrs.field(factory=list)

    def respond(self, request: httpx.Request) -> httpx.Response:
        # The client signs the same object again.
        self.requests.append(httpx.Request(request.method, request.url, headers=request.headers))
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, int):
            return httpx.Response(response, json={"code": "E1", "message": f"{SECRET_TOKEN} {NUMBER}"})
        return httpx.Response(200, json=body(response))

    def __call__(self, tokens: Any = (SECRET_TOKEN,), **settings: Any) -> Any:
        transport = {} if settings.pop("is_mocked", False) else {"transport": httpx.MockTransport(self.respond)}
        options = {name: settings.pop(name) for name in ("timeout", "on_poll") if name in settings}
        client = self.kind("app", pem_of(key()), environment="sandbox", **transport | settings)
        if isinstance(client, WonderClient):
            with client:
                if self.operation == "batch":
                    return list(client.check_tokens(tokens))
                method = client.check_token if self.operation == "check" else client.wait_for_token
                return method(*tokens, **options)

        async def call() -> Any:
            async with client:
                if self.operation == "batch":
                    return [result async for result in client.check_tokens(tokens)]
                method = client.check_token if self.operation == "check" else client.wait_for_token
                return await method(*tokens, **options)

        return asyncio.run(call())

    def secrets(self) -> dict[str, str]:
        return secrets_of(key(), [request.headers["Signature"] for request in self.requests])


def assert_no_secret(call: Call, error: BaseException) -> None:
    report = list(crash_report(error))
    assert leaks(call.secrets(), report) == {}
    ours = [frame for frame in frames(error) if str(frame.f_globals["__name__"]).startswith("wonder_payment")]
    assert ours  # the traceback leads through the package


def frame_of(error: BaseException, name: str) -> FrameType:
    (found,) = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_name == name]
    return found


def failure(call: Call, **settings: Any) -> WonderError:
    """Return the error that an operation ends in."""
    if call.operation == "batch":
        (result,) = call(**settings)
        assert result.error
        return result.error
    with pytest.raises(WonderError) as caught:
        call(**settings)
    return caught.value
