"""One client in many threads, also while the process forks and while Python exits."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from faults.programs import cards, end, needs_fork, start
from wonder_payment import NetworkError, RetryPolicy
from wonder_payment.simulator import Fault, SimulatedGateway, app

THREADS = 32


class Hold:
    """Delays the responses with this fault until the test releases them."""

    fault = Fault(headers={"X-Fault": "held"})

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.released = threading.Event()
        self._in_flight = threading.Semaphore(0)
        play = app.play

        async def hold(fault: Fault, *response: Any) -> Any:
            self._in_flight.release()
            if fault == self.fault:
                await asyncio.to_thread(self.released.wait, 60)
            return await play(fault, *response)

        monkeypatch.setattr(app, "play", hold)

    def wait_for_request(self) -> None:
        """Wait until another request with a fault is in flight."""
        assert self._in_flight.acquire(timeout=60)


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hold]:
    hold = Hold(monkeypatch)
    yield hold
    hold.released.set()


def resume(process: subprocess.Popen[str], until: str) -> None:
    """Resume a program that reads a line, and wait until it prints this one."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("go on\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"{until}\n"


def test_each_of_32_threads_gets_the_results_of_its_own_requests(gateway: SimulatedGateway) -> None:
    mine = list(cards(gateway, THREADS).items())
    together = threading.Barrier(THREADS)

    def check(token: str, last: str) -> bool:
        together.wait(30)
        results = [wonder.check_token(token) for _ in range(5)]
        return all(result.token == token and result.card and result.card.last4 == last for result in results)

    with gateway.client(timeout=30.0, retry=RetryPolicy.never()) as wonder, ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(check, *zip(*mine, strict=True))) == [True] * THREADS
    assert len(gateway.requests) == 5 * THREADS
    assert len({request.nonce for request in gateway.requests}) == 5 * THREADS


def test_a_failed_call_does_not_disturb_other_threads(gateway: SimulatedGateway) -> None:
    tokens = list(cards(gateway, 8))
    for token in tokens[::2]:
        gateway.inject(Fault(broken="reset in the middle", times=5), token=token)
    together = threading.Barrier(len(tokens))

    def check(token: str) -> list[str]:
        together.wait(30)
        seen: list[str] = []
        for _ in range(5):
            try:
                seen.append(wonder.check_token(token).token)
            except NetworkError:
                seen.append("lost")
        return seen

    with gateway.client(timeout=30.0, retry=RetryPolicy.never()) as wonder, ThreadPoolExecutor(len(tokens)) as threads:
        seen = dict(zip(tokens, threads.map(check, tokens), strict=True))
    assert seen == {token: ["lost" if token in tokens[::2] else token] * 5 for token in tokens}


CHECKERS = {
    "a client": "wonder = WonderClient.from_env(retry=ONCE, timeout=60)",
    "the one-liner": "wonder = wonder_payment",
}


@needs_fork
@pytest.mark.parametrize("made", CHECKERS.values(), ids=CHECKERS)
def test_a_fork_during_a_call_in_another_thread_harms_neither_process(
    gateway: SimulatedGateway, hold: Hold, made: str
) -> None:
    tokens = cards(gateway, 4)
    gateway.inject(hold.fault, token=next(iter(tokens)))
    program = """
check(wonder, TOKENS[1:])
checking = threading.Thread(target=lambda: (check(wonder, TOKENS[:1]), print("done")))
checking.start()
sys.stdin.readline()
children = [fork(lambda: check(wonder, TOKENS[1:], times=3)) for _ in range(3)]
check(wonder, TOKENS[1:])
join(children)
print("forked", flush=True)
checking.join()
check(wonder)
"""
    process = start(gateway, f"{made}\n{program}", tokens=tokens)
    hold.wait_for_request()
    resume(process, until="forked")
    hold.released.set()
    assert end(process) == ["done"]


@pytest.mark.parametrize(
    "made",
    [
        "check = WonderClient.from_env(retry=ONCE, timeout=60).check_token",
        "slow = AsyncWonderClient.from_env(retry=ONCE, timeout=60).check_token; check = lambda x: asyncio.run(slow(x))",
    ],
    ids=["sync", "async"],
)
def test_a_client_that_a_daemon_thread_uses_at_exit_is_quiet(gateway: SimulatedGateway, hold: Hold, made: str) -> None:
    never = "00000000-0000-4000-8000-000000000011"  # never completes
    tokens = cards(gateway, 1)
    gateway.inject(hold.fault, token=next(iter(tokens)))
    # One of its two requests gets its response after the client could close the connections, the other one never.
    program = f"""
import atexit

def leave():
    print("leaving", flush=True)
    checked.join(60)

atexit.register(leave)  # called after what the client registers
{made}
checked = threading.Thread(target=lambda: (check(TOKENS[0]), print("done")), daemon=True)
checked.start()
threading.Thread(target=check, args=["{never}"], daemon=True).start()
sys.stdin.readline()
"""
    process = start(gateway, program, tokens=tokens)
    hold.wait_for_request()
    hold.wait_for_request()
    resume(process, until="leaving")
    hold.released.set()
    assert end(process) == ["done"]
