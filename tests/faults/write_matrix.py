"""Writes docs/contributing/faults.md: plays each row of matrix.py with both clients, in real time, and measures it."""

import sys
from pathlib import Path

from conftest import Caller
from faults.matrix import RETRY, ROWS, Row
from faults.observing import observe
from wonder_payment import PaymentToken
from wonder_payment.simulator import SimulatedGateway

DOCUMENT = Path(__file__).parents[2] / "docs" / "contributing" / "faults.md"

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

# Seconds. A smaller difference between the clients is noise.
MIN_DIFFERENCE = 0.3


def page(lines: list[list[str]]) -> str:
    """Return faults.md."""
    table = [HEADINGS, ["---"] * len(HEADINGS), *lines]
    return (
        "# Faults\n\n"
        "Each row is a fault between your service and the gateway, and its result with both clients.\n"
        "[Errors](../reference/errors.md) has the statuses of the gateway, and says what to do about each error.\n\n"
        "- The fault lasts, unless the row says otherwise. The last column but one is the result if the fault happens\n"
        "  only once.\n"
        f"- `check_token` runs with `timeout={TIMEOUT:g}` and `RetryPolicy(max_attempts={RETRY.max_attempts}, "
        f"backoff_initial={RETRY.backoff_initial:g}, jitter=0)`.\n"
        "  Its time is the sum of what the row names. It was measured when this page was written.\n"
        "- `StillPendingError` from a class: the wait goes on until its timeout, and `__cause__` is the error of the\n"
        "  last poll.\n"
        "- The sockets are those that the client leaves open after it is closed, while its error is still held.\n\n"
        + "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in table)
        + "\n`nox -s faults` writes this page from the rows of `tests/faults/matrix.py`, and measures.\n"
        "`tests/faults/test_matrix.py` tests each row.\n"
    )


def measure(row: Row, gateway: SimulatedGateway, broken: list[str]) -> str:
    """Return how long check_token() took with the sync client, and with the async one if that differs.

    An outcome that is not the row's is appended to ``broken``.
    """
    took = list[float]()
    for is_async in (False, True):
        gateway.reset()
        own = {"app_id": gateway.app_id, "private_key": gateway.private_key, "environment": None}
        outcome = observe(row, Caller(is_async, own), gateway, "check_token", timeout=TIMEOUT)
        if (type(outcome.result), outcome.attempts, outcome.left_open) != (row.kind or PaymentToken, row.attempts, 0):
            broken.append(f"{row.fault} ({'async' if is_async else 'sync'}): {outcome}")
        took.append(outcome.seconds)
    if abs(took[0] - took[1]) < MIN_DIFFERENCE:
        return f"{min(took):.1f} s"
    return f"{took[0]:.1f} s, async {took[1]:.1f} s"


def main() -> None:
    """Play the rows, write the page, and fail if an outcome is not the row's."""
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
