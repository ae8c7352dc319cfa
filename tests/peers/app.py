"""A service with one client for each process, made at import; its responses are the token's state.

`wsgi` is for gunicorn and `asgi` for uvicorn.
"""

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from wonder_payment import AsyncWonderClient, WonderClient

VERIFIED = "00000000-0000-4000-8000-000000000001"  # the simulator's first test token

wonder = WonderClient.from_env()
async_wonder = AsyncWonderClient.from_env(transport=os.environ.get("TRANSPORT"))


def wsgi(_environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    state = wonder.check_token(VERIFIED).state
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [state.encode()]


async def asgi(scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    if scope["type"] == "http":
        state = (await async_wonder.check_token(VERIFIED)).state
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": state.encode()})
