"""Runs programs that use a client, each in a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest
from wonder_payment.simulator import SimulatedGateway

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def cards(gateway: SimulatedGateway, count: int) -> dict[str, str]:
    """Return new tokens, each with the last four digits of a card of its own, so that a swapped response is noticed."""
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
