"""One client in many threads, processes and event loops; clients that nobody closes; and what can be pickled.

Forks and interpreter exits happen in programs of their own. The simulator gives each token a card of its own, so a
response to another request is noticed.
"""

import asyncio
import contextlib
import copy
import os
import pickle
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Caller, Kind, for_both_clients, key
from wonder_payment import (
    AsyncWonderClient,
    Card,
    CheckResult,
    NetworkError,
    NotFoundError,
    PaymentToken,
    PollPolicy,
    RetryPolicy,
    ServerError,
    StillPendingError,
    WonderError,
)
from wonder_payment._http import environment, places
from wonder_payment.simulator import Fault, SimulatedGateway, app

THREADS = 32

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def cards(gateway: SimulatedGateway, count: int) -> dict[str, str]:
    """Return new tokens, each with the last four digits of its card."""
    digits = [f"{number:04}" for number in range(count)]
    return {gateway.add_token(states=["success"], card={"number": f"411111******{last}"}): last for last in digits}


def start(gateway: SimulatedGateway, program: str, *flags: str, tokens: dict[str, str]) -> subprocess.Popen[str]:
    """Start a program with the settings in its environment, and the tokens with their cards as arguments."""
    return subprocess.Popen(
        [sys.executable, *flags, "-c", PRELUDE + program, *(f"{token}={last}" for token, last in tokens.items())],
        env={**os.environ, **gateway.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines that a program prints; fail if it fails or writes to stderr."""
    try:
        output, errors = process.communicate(timeout=60)
    finally:
        # Its children, too, if they hang.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (errors, process.returncode) == ("", 0)
    return output.splitlines()


def run(gateway: SimulatedGateway, program: str, *flags: str, count: int = 4) -> list[str]:
    return end(start(gateway, program, *flags, tokens=cards(gateway, count)))


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


# Python 3.12 and newer warn of forks beside threads, which these programs test.
PRELUDE = """
import asyncio, gc, os, sys, threading, time, warnings
warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
import wonder_payment
from wonder_payment import AsyncWonderClient, RetryPolicy, WonderClient, WonderError

CARDS = dict(argument.split("=") for argument in sys.argv[1:])
TOKENS = list(CARDS)
ONCE = RetryPolicy.never()

def check(wonder, tokens=TOKENS, times=1):
    for token in tokens * times:
        result = wonder.check_token(token)
        assert (result.token, result.card.last4) == (token, CARDS[token]), result

async def check_async(wonder, tokens=TOKENS):
    results = await asyncio.gather(*map(wonder.check_token, tokens))
    assert [(result.token, result.card.last4) for result in results] == [(token, CARDS[token]) for token in tokens]

def fork(work):
    child = os.fork()
    if not child:
        work()
        sys.exit(0)
    return child

def join(children):
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)

def descriptors():
    gc.collect()
    return len(os.listdir("/dev/fd"))
"""


# Threads


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


# Processes


@needs_fork
def test_a_client_used_before_a_fork_works_in_parent_and_children_at_once(gateway: SimulatedGateway) -> None:
    program = """
wonder = WonderClient.from_env(retry=ONCE)
check(wonder)
children = [fork(lambda: check(wonder, times=5)) for _ in range(4)]
check(wonder, times=5)
join(children)
check(wonder)
"""
    run(gateway, program)
    assert len(gateway.requests) == (1 + 5 * 4 + 5 + 1) * 4
    assert len({request.nonce for request in gateway.requests}) == len(gateway.requests)


@needs_fork
def test_a_client_first_used_by_children_works_in_all_processes(gateway: SimulatedGateway) -> None:
    run(
        gateway,
        """
wonder = WonderClient.from_env(retry=ONCE)
join([fork(lambda: check(wonder)), fork(lambda: check(wonder))])
check(wonder)
""",
    )


@needs_fork
def test_a_child_that_closes_the_client_does_not_close_its_parents(gateway: SimulatedGateway) -> None:
    program = """
wonder = WonderClient.from_env(retry=ONCE)
check(wonder)

def close_unused():
    wonder.close()

def use_and_close():
    with wonder:
        check(wonder)
    try:
        wonder.check_token(TOKENS[0])
    except WonderError as error:
        assert "closed" in str(error)
    else:
        sys.exit("open")

for work in (close_unused, use_and_close):
    join([fork(work)])
    check(wonder)
"""
    run(gateway, program)


@needs_fork
def test_a_client_works_in_grandchildren(gateway: SimulatedGateway) -> None:
    run(
        gateway,
        """
wonder = WonderClient.from_env(retry=ONCE)
check(wonder)

def child():
    check(wonder)
    children = [fork(lambda: check(wonder)), fork(lambda: check(wonder))]
    check(wonder)
    join(children)

join([fork(child)])
""",
    )


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


@needs_fork
def test_an_async_client_used_before_a_fork_works_in_parent_and_children_at_once(gateway: SimulatedGateway) -> None:
    run(
        gateway,
        """
wonder = AsyncWonderClient.from_env(retry=ONCE)
asyncio.run(check_async(wonder))
children = [fork(lambda: asyncio.run(check_async(wonder, TOKENS * 3))) for _ in range(4)]
asyncio.run(check_async(wonder, TOKENS * 3))
join(children)
""",
    )


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


@needs_fork
def test_a_batch_works_in_a_child_that_is_forked_between_two_results_of_another_one(gateway: SimulatedGateway) -> None:
    program = """
wonder = WonderClient.from_env(retry=ONCE)

def check_all():
    assert sorted(result.token.card.last4 for result in wonder.check_tokens(TOKENS)) == sorted(CARDS.values())

results = wonder.check_tokens(TOKENS * 5, concurrency=1)
next(results)
children = [fork(check_all) for _ in range(4)]
assert len(list(results)) == 4 * 5 - 1
join(children)
"""
    run(gateway, program)


def test_a_client_makes_new_connections_after_a_late_gevent_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    """gevent replaces the class; a TLS context from before raises a TypeError in each request after it."""
    contexts = list[type]()

    def certificates(_origin: str, _ca_file: object) -> ssl.SSLContext:
        contexts.append(ssl.SSLContext)
        return native(ssl.PROTOCOL_TLS_CLIENT)

    native, patched = ssl.SSLContext, type("SSLContext", (ssl.SSLContext,), {})
    monkeypatch.setattr(environment, "certificates", certificates)
    pools = places.ProcessPools("https://127.0.0.1:9", None, 100)
    before = pools.here()
    monkeypatch.setattr(ssl, "SSLContext", patched)
    after = pools.here()
    assert contexts == [native, patched]
    pools.close()
    assert (before.is_closed, after.is_closed) == (False, True)


# Event loops


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


# Clients that nobody closes

UNCLOSED = """
class Service:
    pass

def drop():
    wonder = {made}
    {use}

def drop_in_a_cycle():
    service = Service()
    service.itself, service.wonder = service, {made}
    wonder = service.wonder
    {use}

drop()
drop_in_a_cycle()
gc.collect()
never_used = {made}
wonder = {made}
{use}
"""


@pytest.mark.parametrize("flags", [(), ("-X", "dev", "-W", "error")], ids=["by default", "-X dev -W error"])
def test_clients_that_nobody_closes_are_quiet_when_dropped_and_at_exit(
    gateway: SimulatedGateway, flags: tuple[str, ...]
) -> None:
    run(gateway, UNCLOSED.format(made="WonderClient.from_env(retry=ONCE)", use="check(wonder)"), *flags)


def test_async_clients_that_nobody_closes_are_quiet_when_dropped_and_at_exit(gateway: SimulatedGateway) -> None:
    use = "asyncio.run(check_async(wonder))"
    run(gateway, UNCLOSED.format(made="AsyncWonderClient.from_env(retry=ONCE)", use=use))


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


def test_an_async_client_dropped_while_its_loop_runs_is_quiet(gateway: SimulatedGateway) -> None:
    run(
        gateway,
        """
async def main():
    wonder = AsyncWonderClient.from_env(retry=ONCE)
    await check_async(wonder)
    del wonder
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)  # let the loop close it

asyncio.run(main())
""",
    )


DROPPING = {
    "a client": "check(WonderClient.from_env(retry=ONCE, private_key=key), TOKENS[:1])",
    "an async client": "asyncio.run(check_async(AsyncWonderClient.from_env(retry=ONCE, private_key=key), TOKENS[:1]))",
    "the loops of one async client": "asyncio.run(check_async(lasting, TOKENS[:1]))",
}


@pytest.mark.parametrize("step", DROPPING.values(), ids=DROPPING)
def test_50_clients_or_loops_leave_no_file_descriptor_open(gateway: SimulatedGateway, step: str) -> None:
    program = f"""
from wonder_payment.signing import load_private_key
key = load_private_key(os.environ.pop("WONDER_PRIVATE_KEY").replace("\\\\n", "\\n"))
lasting = AsyncWonderClient.from_env(retry=ONCE, private_key=key)
{step}
before = descriptors()
for _ in range(50):
    {step}
print(descriptors() - before)
"""
    (growth,) = run(gateway, program)
    assert int(growth) <= 0


# What can be pickled

WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol))  # noqa: S301
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@for_both_clients
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_client_cannot_be_copied_and_its_error_says_what_to_do(kind: Kind, way: Callable[[Any], Any]) -> None:
    client = kind("app", key(), environment="sandbox")
    with pytest.raises(TypeError, match=rf"{kind.__name__} cannot be pickled.*process.*from_env"):
        way(client)


@pytest.mark.parametrize(
    "thing",
    [
        RetryPolicy(max_attempts=7, max_elapsed=60.0, backoff_initial=0.1, backoff_max=2.0, jitter=0.5),
        PollPolicy(interval_initial=0.1, interval_max=9.0, growth=0.0, jitter=0.0),
        Card(number="411111******1111", exp_month="12", exp_year="30", holder_name="SAM SAMPLE", brand="visa"),
        PaymentToken(token="t", token_type="new", state="new", is_default=False, card=Card(), extra={"a": [1, {}]}),
        CheckResult(token_id="t", error=ServerError("What happened.", status_code=500)),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_objects_come_back_equal_from_another_process(thing: object) -> None:
    for way in WAYS.values():
        twin = way(thing)
        assert type(twin) is type(thing)
        assert repr(twin) == repr(thing)
        assert twin == thing or isinstance(thing, CheckResult)  # errors have no equality


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=404), NotFoundError),
        (Fault(status=503), ServerError),
        (Fault(broken="reset before"), NetworkError),
        (None, StillPendingError),
    ],
    ids=["404", "503", "reset before", "still pending"],
)
@pytest.mark.usefixtures("clock")
def test_errors_come_back_from_another_process_with_all_their_attributes(
    caller: Caller, gateway: SimulatedGateway, fault: Fault | None, kind: type[WonderError]
) -> None:
    if fault:
        gateway.inject(fault)
    token = gateway.add_token()
    with pytest.raises(kind) as caught:
        caller.check(token) if fault else caller.wait(token, timeout=30.0)
    for way in WAYS.values():
        twin = way(caught.value)
        assert type(twin) is kind
        assert (str(twin), vars(twin)) == (str(caught.value), vars(caught.value))
