"""Where the async client works: in asyncio, and nowhere else."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from conftest import TOKEN, key
from wonder_payment import AsyncWonderClient, ConfigurationError


async def batch(client: AsyncWonderClient) -> None:
    async for _ in client.check_tokens([TOKEN]):
        pass


CALLS: dict[str, Callable[[AsyncWonderClient], Awaitable[Any]]] = {
    "check_token": lambda client: client.check_token(TOKEN),
    "wait_for_token": lambda client: client.wait_for_token(TOKEN),
    "check_tokens": batch,
    "aclose": lambda client: client.aclose(),
}


@pytest.mark.parametrize("transport", [None, "fast"], ids=["httpx", "aiohttp"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_async_client_says_that_it_needs_asyncio(
    call: Callable[[AsyncWonderClient], Awaitable[Any]], transport: Any
) -> None:
    client = AsyncWonderClient("app", key(), environment="sandbox", transport=transport)
    with pytest.raises(ConfigurationError, match="needs a running asyncio event loop"):
        trio.run(call, client)


def test_a_coroutine_that_nothing_runs_says_that_it_needs_asyncio() -> None:
    call = AsyncWonderClient("app", key(), environment="sandbox").check_token(TOKEN)
    with pytest.raises(ConfigurationError, match="needs a running asyncio event loop"):
        call.send(None)
