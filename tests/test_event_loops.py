"""Where the async client works: in asyncio, and nowhere else. trio also runs a coroutine without an asyncio loop."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from conftest import TOKEN, key
from wonder_payment import AsyncWonderClient, ConfigurationError


async def batch(client: AsyncWonderClient) -> None:
    async for _ in client.check_tokens([TOKEN]):
        pass


CALLS: dict[str, Callable[[AsyncWonderClient], Coroutine[Any, Any, Any]]] = {
    "check_token": lambda client: client.check_token(TOKEN),
    "wait_for_token": lambda client: client.wait_for_token(TOKEN),
    "check_tokens": batch,
    "aclose": lambda client: client.aclose(),
}


@pytest.mark.parametrize("transport", [None, "fast"], ids=["default", "fast"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_async_client_says_that_it_needs_asyncio(
    call: Callable[[AsyncWonderClient], Coroutine[Any, Any, Any]], transport: Any
) -> None:
    client = AsyncWonderClient("app", key(), environment="sandbox", transport=transport)
    with pytest.raises(ConfigurationError, match="needs a running asyncio event loop"):
        call(client).send(None)
