"""One async client in several event loops: one after the other, and at once."""

import asyncio

import pytest
from faults.programs import run
from wonder_payment import AsyncWonderClient, WonderError
from wonder_payment.simulator import SimulatedGateway


def test_an_async_client_works_in_several_loops_one_after_the_other(gateway: SimulatedGateway) -> None:
    program = """
wonder = AsyncWonderClient.from_env(retry=ONCE)
for _ in range(5):
    asyncio.run(check_async(wonder))

async def close():
    await wonder.aclose()
    try:
        await wonder.check_token(TOKENS[0])
    except WonderError as error:
        print(error)

asyncio.run(close())
"""
    (error,) = run(gateway, program)
    assert "closed" in error


def test_an_async_client_works_in_a_loop_that_goes_on_after_another_loop_ended(gateway: SimulatedGateway) -> None:
    run(
        gateway,
        """
wonder = AsyncWonderClient.from_env(retry=ONCE)
with asyncio.Runner() as outer:
    outer.run(check_async(wonder))
    thread = threading.Thread(target=lambda: asyncio.run(check_async(wonder)))
    thread.start()
    thread.join()
    outer.run(check_async(wonder))
    outer.run(wonder.aclose())
""",
    )


def test_an_async_client_works_in_two_loops_in_two_threads_at_once(gateway: SimulatedGateway) -> None:
    program = """
wonder = AsyncWonderClient.from_env(retry=ONCE)
together = threading.Barrier(2)

async def check_often():
    for _ in range(10):
        together.wait(30)
        await check_async(wonder)
    sys.stdout.write("done\\n")

threads = [threading.Thread(target=asyncio.run, args=[check_often()]) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
asyncio.run(wonder.aclose())
"""
    assert run(gateway, program) == ["done", "done"]
    assert len(gateway.requests) == 2 * 10 * 4


def test_an_async_client_can_be_closed_in_a_loop_that_never_used_it(gateway: SimulatedGateway) -> None:
    async def check(wonder: AsyncWonderClient) -> None:
        await wonder.check_token("00000000-0000-4000-8000-000000000001")

    wonder = gateway.async_client()
    asyncio.run(wonder.aclose())
    with pytest.raises(WonderError, match="closed"):
        asyncio.run(check(wonder))
    assert gateway.requests == []
