"""Writes docs/faults.md: plays each row of matrix.py with both clients, in real time, and notes how long it took."""

import sys
from pathlib import Path

from conftest import Caller
from faults.matrix import RETRY, ROWS, Row, observe
from wonder_payment import PaymentToken
from wonder_payment.simulator import SimulatedGateway

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"

HEADINGS = [
    "fault",
    "`check_token` gets",
    "attempts",
    "time",
    "measured",
    "`wait_for_token` gets",
    "if it happens once",
    "sockets left open",
]

TIMEOUT = 0.5

# Less is what the machine did beside, in seconds.
DIFFERENT = 0.3


def page(lines: list[list[str]]) -> str:
    """Return faults.md."""
    table = [HEADINGS, ["---"] * len(HEADINGS), *lines]
    return (
        "# What a caller gets when something goes wrong\n\n"
        "Each row is something that can go wrong between a service and the gateway, and what comes of it, for\n"
        "`WonderClient` and `AsyncWonderClient` alike.\n\n"
        "- Nothing but an answer or a `WonderError` reaches the caller. [Errors](reference/errors.md) tells what to do "
        "about each.\n"
        "- The fault lasts, unless the row says otherwise. Where asking again can help, the last column but one says\n"
        "  what comes of a fault that happens once, and then no more.\n"
        f"- `check_token` with `timeout={TIMEOUT:g}` and `RetryPolicy(max_attempts={RETRY.max_attempts}, "
        f"backoff_initial={RETRY.backoff_initial:g}, jitter=0)`,\n"
        "  so that the time is the sum of what the row names. It was measured when this page was written.\n"
        "- `StillPendingError` from a class: the wait goes on until its time is over; its `__cause__` is the last\n"
        "  look's error.\n"
        "- The sockets left open are those of the client after it is closed, while its exception is still held.\n\n"
        + "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in table)
        + "\n`python3 noxfile.py -s faults` writes this page from the rows of `tests/faults/matrix.py`, and measures.\n"
        "Each row is a test of its own in `tests/faults/test_matrix.py`.\n"
    )


def measure(row: Row, gateway: SimulatedGateway, broken: list[str]) -> str:
    """Return how long check_token() took, with the sync client, and with the async one where that differs.

    A promise that was not kept is added to what is broken.
    """
    took = list[float]()
    for is_async in (False, True):
        gateway.reset()
        own = {"app_id": gateway.app_id, "private_key": gateway.private_key, "environment": None}
        outcome = observe(row, Caller(is_async, own), gateway, "check_token", timeout=TIMEOUT)
        if (type(outcome.got), outcome.attempts, outcome.left_open) != (row.kind or PaymentToken, row.attempts, 0):
            broken.append(f"{row.fault} ({'async' if is_async else 'sync'}): {outcome}")
        took.append(outcome.seconds)
    if abs(took[0] - took[1]) < DIFFERENT:
        return f"{min(took):.1f} s"
    return f"{took[0]:.1f} s, async {took[1]:.1f} s"


def main() -> None:
    """Play the rows, write the page, and fail when one is not kept."""
    lines, broken = list[list[str]](), list[str]()
    with SimulatedGateway() as gateway:
        for row in ROWS:
            cells = row.cells
            cells.insert(HEADINGS.index("measured"), measure(row, gateway, broken))
            lines.append(cells)
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(page(lines), encoding="utf-8", newline="\n")
    if broken:
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
