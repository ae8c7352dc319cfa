"""No secret in the traceback of a call that Ctrl-C or a cancellation ends."""

import asyncio
import json
import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from arrivals import Arrivals
from conftest import Caller
from crashes import NUMBER, crash_report, leaks
from crashes import SECRET_TOKEN as TOKEN
from faults.endings import GOOD
from faults.secrets_shown import assert_cleared, call, client_of, dump, secrets_of
from wonder_payment import RetryPolicy
from wonder_payment.simulator import Fault, SimulatedGateway

CALLS = pytest.mark.parametrize("method", ["check_token", "wait_for_token"])


class OnLine(logging.Handler):
    """Calls a function when a line with these words is logged."""

    def __init__(self, words: str, function: Callable[[], object]) -> None:
        super().__init__()
        self._words, self._function = words, function

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self._function()


@contextmanager
def when_logged(words: str, function: Callable[[], object]) -> Iterator[None]:
    """Call a function when the client, or its connection, logs a line with these words."""
    handler = OnLine(words, function)
    loggers = {logger: logger.level for logger in map(logging.getLogger, ("httpcore", "wonder_payment"))}
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for logger, level in loggers.items():
            logger.removeHandler(handler)
            logger.setLevel(level)


@contextmanager
def ctrl_c(words: str, arrivals: Arrivals) -> Iterator[None]:
    """Press Ctrl-C when the simulator has a request and these words are logged."""
    reached = threading.Event()

    def press() -> None:
        if reached.wait(60):
            arrivals.wait_until(bool)
            os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        with when_logged(words, reached.set):
            yield
    finally:
        pressing.join()


# What is logged when the client is about to wait there.
MIDDLES = {
    "a request": (Fault(delay=math.inf), "receive_response_headers.started"),
    "a response": (Fault(drip=0.05, body=json.dumps(GOOD)), "receive_response_body.started"),
    "a delay before the next attempt": (Fault(status=503, body=f"{TOKEN} {NUMBER}"), "attempt 1: HTTP 503; retry in"),
}
LONG = RetryPolicy(backoff_initial=8.0, jitter=0.0)


@CALLS
@pytest.mark.parametrize(("fault", "words"), MIDDLES.values(), ids=MIDDLES)
def test_ctrl_c_during_a_call_has_no_secret_in_its_traceback(
    caller: Caller, gateway: SimulatedGateway, arrivals: Arrivals, method: str, fault: Fault, words: str
) -> None:
    gateway.inject(fault)
    client = client_of(caller, gateway, retry=LONG)
    shown: list[str] = []
    with pytest.raises(KeyboardInterrupt) as caught, ctrl_c(words, arrivals):
        call(client, method, TOKEN, shown)
    assert leaks(secrets_of(gateway), [*shown, *crash_report(caught.value)]) == {}
    assert_cleared(caught.value)
    assert gateway.requests


@CALLS
@pytest.mark.parametrize(("fault", "words"), MIDDLES.values(), ids=MIDDLES)
def test_a_cancelled_call_has_no_secret_in_its_traceback(
    gateway: SimulatedGateway, arrivals: Arrivals, method: str, fault: Fault, words: str
) -> None:
    gateway.inject(fault)

    async def main() -> list[str]:
        async with gateway.async_client(retry=LONG) as wonder:
            reached = asyncio.Event()
            with when_logged(words, reached.set):
                task = asyncio.create_task(getattr(wonder, method)(TOKEN))
                await asyncio.wait_for(reached.wait(), 60)
            await asyncio.to_thread(arrivals.wait_until, bool)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert_cleared(caught.value)
            return [*crash_report(caught.value), *dump(wonder)]

    assert leaks(secrets_of(gateway), asyncio.run(main())) == {}
