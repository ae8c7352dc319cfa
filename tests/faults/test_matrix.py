"""Each fault leads to what its row in matrix.py says: with every transport, and in the waits of both clients."""

from typing import Any

import attrs
import pytest
from conftest import TRANSPORTS, Caller, Clock, caller_of
from faults.matrix import POLL, RETRY, ROWS, Row
from faults.observing import Outcome, observe
from faults.write_matrix import DOCUMENT, HEADINGS
from wonder_payment import PaymentToken, StillPendingError, WonderError
from wonder_payment.simulator import SimulatedGateway

# On a busy machine a timeout may also end an attempt that would get its response: this makes as many as it takes.
PATIENT = attrs.evolve(RETRY, max_attempts=1_000, max_elapsed=1e6)


with_every_transport = pytest.mark.parametrize("caller", TRANSPORTS, indirect=True)


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest, gateway: SimulatedGateway) -> Caller:
    return caller_of(request.param, gateway)


def rows(chosen: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", chosen, ids=[row.fault for row in chosen])


def play(
    row: Row,
    caller: Caller,
    gateway: SimulatedGateway,
    monkeypatch: pytest.MonkeyPatch,
    method: str = "check_token",
    *,
    is_once: bool = False,
    **options: Any,
) -> tuple[Outcome, Clock]:
    """Observe a row, if possible on a clock on which sleeping takes no time, and check what holds for every row."""
    clock = Clock(monkeypatch, is_still=not row.is_slow)
    succeeds = row.kind is None or is_once
    timeout = 10.0 if not row.is_slow else 0.3 if succeeds else 0.1
    retry = PATIENT if row.is_slow and succeeds else RETRY
    outcome = observe(row, caller, gateway, method, timeout=timeout, is_once=is_once, retry=retry, options=options)
    assert outcome.left_open == 0
    if isinstance(outcome.result, WonderError):
        assert outcome.result.attempts == outcome.attempts
    else:
        assert isinstance(outcome.result, PaymentToken)
        assert outcome.result.is_verified
    if method == "check_token":
        assert clock.slept[: RETRY.max_attempts - 1] == list(row.time.delays[: outcome.attempts - 1])
        failed = outcome.attempts - succeeds
        # A little less, because the timeouts do not use this clock.
        assert outcome.seconds >= 0.9 * timeout * failed * row.time.timeouts[caller.is_async]
    return outcome, clock


@rows(ROWS)
@with_every_transport
def test_check_token_gets_what_the_row_says(
    row: Row, caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, _ = play(row, caller, gateway, monkeypatch)
    assert type(outcome.result) is (row.kind or PaymentToken)
    assert outcome.attempts == row.attempts or (row.is_slow and row.kind is None and outcome.attempts > row.attempts)


@rows(ROWS)
def test_wait_for_token_gets_what_the_row_says(
    row: Row, caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeout = 1e6 if row.is_slow and row.kind is None else 10.0
    outcome, clock = play(row, caller, gateway, monkeypatch, "wait_for_token", poll=POLL, timeout=timeout)
    if row.ends_wait:
        assert type(outcome.result) is (row.kind or PaymentToken)
        assert outcome.attempts == row.attempts or row.is_slow
        assert len(clock.slept) == outcome.attempts - 1
    else:
        assert isinstance(outcome.result, StillPendingError)
        assert type(outcome.result.__cause__) is row.kind
        assert outcome.result.token is None
        assert outcome.result.polls == outcome.attempts >= 2
        assert outcome.result.elapsed >= 0.8 * timeout


@rows([row for row in ROWS if row.can_pass])
@with_every_transport
def test_check_token_retries_a_fault_that_happens_once(
    row: Row, caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, _ = play(row, caller, gateway, monkeypatch, is_once=True)
    assert isinstance(outcome.result, PaymentToken)
    assert outcome.attempts == 2 or (row.is_slow and outcome.attempts > 2)


@rows([row for row in ROWS if row.can_pass])
def test_wait_for_token_polls_again_after_a_fault_that_happens_once(
    row: Row, caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeout = 1e6 if row.is_slow else 10.0
    outcome, _ = play(row, caller, gateway, monkeypatch, "wait_for_token", is_once=True, poll=POLL, timeout=timeout)
    assert isinstance(outcome.result, PaymentToken)
    assert outcome.attempts == 2 or (row.is_slow and outcome.attempts > 2)


def test_the_page_has_the_rows_and_no_others() -> None:
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    assert table[0] == HEADINGS
    measured = HEADINGS.index("measured")
    assert [row[:measured] + row[measured + 1 :] for row in table[2:]] == [row.cells for row in ROWS]


def test_every_fault_has_its_own_name() -> None:
    assert len({row.fault for row in ROWS}) == len(ROWS)
