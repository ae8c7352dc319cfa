"""A service whose clients are made at import, before any fork and any patch by gevent, and used there once.

`wsgi` is for threads and gevent, `asgi` for event loops. A response is the states of four checks, three of them in a
batch.
"""

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from wonder_payment import AsyncWonderClient, CheckResult, RetryPolicy, WonderClient

VERIFIED = "00000000-0000-4000-8000-000000000001"  # the simulator's first test token
SETTINGS: dict[str, Any] = {"transport": os.environ.get("TRANSPORT"), "retry": RetryPolicy.never()}

wonder = WonderClient.from_env(**SETTINGS)
async_wonder = AsyncWonderClient.from_env(**SETTINGS)

# Leaves a connection that no forked child may use, and a TLS context that fails after gevent's patch.
wonder.check_token(VERIFIED)


def wsgi(_environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    states = [wonder.check_token(VERIFIED).state]
    states += [state_of(result) for result in wonder.check_tokens([VERIFIED] * 3)]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(states).encode()]


async def asgi(scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    if scope["type"] == "http":
        states = [(await async_wonder.check_token(VERIFIED)).state]
        states += [state_of(result) async for result in async_wonder.check_tokens([VERIFIED] * 3)]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": " ".join(states).encode()})


def state_of(result: CheckResult) -> str:
    return result.token.state if result.token else str(result.error)
