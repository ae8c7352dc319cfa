"""Batches while Python ends: after the main thread, in a daemon thread, and at exit."""

import pytest
from faults.programs import run
from wonder_payment.simulator import SimulatedGateway

LATE = {
    "begun after the main thread ended": """
def work():
    threading.main_thread().join()
    print(*read())
""",
    "begun before the main thread ended": """
def work():
    results = wonder.check_tokens(TOKENS, concurrency=1)
    first = next(results)
    threading.main_thread().join()
    print(*(result.token.card.last4 for result in [first, *results]))
""",
    "in a daemon thread": """
def read_late():
    threading.main_thread().join()
    print(*read())

def work():
    inner = threading.Thread(target=read_late, daemon=True)
    inner.start()
    inner.join()
""",
    "at exit": """
import atexit
atexit.register(lambda: print(*read()))
work = int
""",
    "begun and never ended": """
def work():
    global left
    left = wonder.check_tokens(TOKENS * 100, concurrency=4)
    assert next(left).token.is_verified
    print(*CARDS.values())
""",
}


@pytest.mark.parametrize("work", LATE.values(), ids=LATE)
def test_a_batch_works_until_the_interpreter_ends(gateway: SimulatedGateway, work: str) -> None:
    program = f"""
wonder = WonderClient.from_env(retry=ONCE)
read = lambda: [result.token.card.last4 for result in wonder.check_tokens(TOKENS, concurrency=1)]
{work}
threading.Thread(target=work).start()
"""
    assert run(gateway, program) == ["0000 0001 0002 0003"]


@pytest.mark.parametrize("transport", [None, "fast"], ids=["default", "fast"])
def test_an_async_batch_after_the_main_thread_ended_says_that_no_host_can_be_looked_up(
    gateway: SimulatedGateway, transport: str | None
) -> None:
    program = f"""
async def main():
    url = os.environ["WONDER_BASE_URL"].replace("127.0.0.1", "localhost")
    async with AsyncWonderClient.from_env(base_url=url, transport={transport!r}) as wonder:
        try:
            async for _ in wonder.check_tokens(TOKENS):
                pass
        except Exception as error:
            print(type(error).__name__, error.args[0])

def work():
    threading.main_thread().join()
    asyncio.run(main())

threading.Thread(target=work).start()
"""
    expected = "ConfigurationError Python is shutting down: it can no longer look up the gateway's host."
    assert run(gateway, program) == [expected]
