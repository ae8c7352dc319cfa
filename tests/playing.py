"""Plays the gateway and the time for a flow, so that its decisions are tested without a server or a real delay."""

import math
from typing import Any, TypeAlias

import attrs
import pytest
from wonder_payment import (
    InvalidResponseError,
    NetworkError,
    PaymentToken,
    RequestTimeoutError,
    RetryPolicy,
    WonderError,
)
from wonder_payment._flow import Attempt, Policy, Steps, drive
from wonder_payment._http.received import RawResponse
from wonder_payment._http.response import checked_response
from wonder_payment.batch import Result

TOKEN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"

Response: TypeAlias = Result | tuple[float, Result]


@attrs.define(eq=False)
class Player:
    """The gateway and the time, which passes during attempts and sleeps only."""

    now: float = 0.0
    sleeps: list[float] = attrs.field(factory=list)
    began: list[float] = attrs.field(factory=list)
    deadlines: list[float] = attrs.field(factory=list)

    def monotonic(self) -> float:
        return self.now

    def __call__(self, steps: Steps[Any], *responses: Response) -> Any:
        """Carry out a flow and return what it returns.

        Args:
            steps: The flow.
            responses: The result of each attempt, at once or after some seconds; the last one comes again and again.
        """
        left = list(responses)

        def attempt(step: Attempt) -> Result:
            self.began.append(self.now)
            deadline = min(self.now + step.timeout, step.until)
            self.deadlines.append(deadline)
            response = left.pop(0) if len(left) > 1 else left[0]
            seconds, result = response if isinstance(response, tuple) else (0.0, response)
            if self.now + seconds > deadline:
                result = failed(RequestTimeoutError)
            self.now = min(self.now + seconds, deadline)
            if isinstance(result, WonderError):
                result.request_id = f"request {len(self.began)}"
            return result

        def sleep(seconds: float) -> None:
            self.sleeps.append(seconds)
            self.now += seconds

        return drive(steps, attempt, sleep)


def token(state: str) -> PaymentToken:
    request_id = f"the request of a {state} token"
    return PaymentToken(token=TOKEN, token_type="CreditCard", state=state, is_default=False, request_id=request_id)


def failed(
    cause: int | bytes | type[WonderError], *, request_id: str | None = "a request", **headers: str
) -> WonderError:
    """Return the error of a status, of a body with status 200, or of a class."""
    if isinstance(cause, type):
        return cause("No response.", request_id=request_id)
    status, body = (cause, b"") if isinstance(cause, int) else (200, cause)
    response = RawResponse(status, {name.replace("_", "-").lower(): value for name, value in headers.items()}, body)
    with pytest.raises(WonderError) as caught:
        checked_response(response, token=TOKEN)
    caught.value.request_id = request_id
    return caught.value


def policy(timeout: float = 10.0, on_retry: Any = None, **retry: Any) -> Policy:
    return Policy(RetryPolicy(**{"jitter": 0.0} | retry), timeout, on_retry)


ONCE = policy(max_attempts=1)
SUCCESS, PENDING = token("success"), token("pending")
HANGS = (math.inf, SUCCESS)

TRANSIENT: dict[str, Any] = {
    **{str(status): status for status in (408, 425, 429, 500, 501, 502, 503, 504, 520, 527, 530, 599)},
    "network error": NetworkError,
    "timeout": RequestTimeoutError,
    "500 in a 200": b'{"code": 500, "message": "no"}',
}
PERMANENT: dict[str, Any] = {
    **{str(status): status for status in (301, 302, 400, 401, 403, 404, 405, 407, 409, 418, 422, 424, 426)},
    "broken contract": InvalidResponseError,
    "no body": b"",
    "no state": b'{"code": 0, "message": "success", "data": {"payment_token": {"state": null}}}',
    "code in a 200": b'{"code": "E000002", "message": "no"}',
}

for_transient = pytest.mark.parametrize("failure", TRANSIENT.values(), ids=TRANSIENT)
for_permanent = pytest.mark.parametrize("failure", PERMANENT.values(), ids=PERMANENT)
