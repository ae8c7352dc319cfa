"""Each fault leads to what its row in matrix.py promises, for both clients and both calls."""

import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import certifi
import pytest
from conftest import Caller, Clock, caller_of
from faults.making import authority
from faults.matrix import POLL, RETRY, ROWS, Outcome, Row, observe
from faults.write_matrix import DOCUMENT, HEADINGS
from wonder_payment import PaymentToken, StillPendingError, WonderError
from wonder_payment.simulator import SimulatedGateway


class StillClock(Clock):
    """A clock on which nothing passes but the time slept: a busy machine is as quick as any."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._began = {name: getattr(time, name)() for name in ("monotonic", "time")}
        super().__init__(monkeypatch)

    def _now(self, name: str) -> float:
        return self._began[name] + self._skipped if self._is_ours else self._real[name]()


@pytest.fixture(autouse=True, scope="module")
def few_certificates() -> Iterator[None]:
    """One authority instead of a hundred: reading them for each client would be most of these tests' work."""
    with authority().cert_pem.tempfile() as file, patch.object(certifi, "where", lambda: file):
        yield


@pytest.fixture(params=["sync", "async", "aiohttp"])
def caller(request: pytest.FixtureRequest, gateway: SimulatedGateway) -> Caller:
    return caller_of(request.param, gateway)


def rows(chosen: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", chosen, ids=[row.fault for row in chosen])


MENDABLE = [row for row in ROWS if row.is_mendable]


def play(
    row: Row,
    caller: Caller,
    gateway: SimulatedGateway,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    *,
    is_once: bool = False,
    **options: Any,
) -> tuple[Outcome, Clock]:
    """Observe a row on a clock that nobody waits for, and check what holds for every row."""
    if caller.settings.get("transport") == "aiohttp" and row.fault == "a body byte by byte within TLS":
        pytest.skip("aiohttp leaves the end of a TLS connection to the event loop, which ends first here")
    clock = Clock(monkeypatch) if row.is_slow else StillClock(monkeypatch)
    # What is to be answered in the end has to be, on a busy machine, too.
    is_answered = row.kind is None or is_once
    timeout = 10.0 if not row.is_slow else 0.3 if is_answered else 0.1
    outcome = observe(row, caller, gateway, method, timeout=timeout, is_once=is_once, options=options)
    assert outcome.left_open == 0
    if isinstance(outcome.got, WonderError):
        assert outcome.got.attempts == outcome.attempts
    else:
        assert isinstance(outcome.got, PaymentToken)
        assert outcome.got.is_verified
    if method == "check_token":
        assert clock.slept == list(row.time.delays[: outcome.attempts - 1])
        failed = outcome.attempts - is_answered
        # A little less, for the clocks that the timeouts go by are not this one.
        assert outcome.seconds >= 0.9 * timeout * failed * row.time.timeouts[caller.is_async]
    return outcome, clock


@rows(ROWS)
def test_check_token_gets_what_the_row_says(
    row: Row, caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, _ = play(row, caller, gateway, monkeypatch, "check_token")
    assert type(outcome.got) is (row.kind or PaymentToken)
    # Where the machine is too busy for an answer in time, one more is right, too.
    most = RETRY.max_attempts if row.is_slow and row.kind is None else row.attempts
    assert row.attempts <= outcome.attempts <= most


@rows(ROWS)
def test_wait_for_token_gets_what_the_row_says(
    row: Row, caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeout = 1.0 if row.is_slow and row.kind else 10.0
    outcome, clock = play(row, caller, gateway, monkeypatch, "wait_for_token", poll=POLL, timeout=timeout)
    if row.kind is None or row.ends_wait:
        assert type(outcome.got) is (row.kind or PaymentToken)
        assert outcome.attempts == row.attempts or row.is_slow
        assert len(clock.slept) == outcome.attempts - 1
    else:
        assert isinstance(outcome.got, StillPendingError)
        assert type(outcome.got.__cause__) is row.kind
        assert outcome.got.token is None
        assert outcome.got.polls == outcome.attempts >= 2
        assert outcome.got.elapsed >= 0.8 * timeout


@rows(MENDABLE)
def test_a_fault_that_happens_once_is_mended_by_asking_again(
    row: Row, caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, _ = play(row, caller, gateway, monkeypatch, "check_token", is_once=True)
    if row.attempts == 1:
        assert type(outcome.got) is row.kind
    else:
        assert isinstance(outcome.got, PaymentToken)
        assert 2 <= outcome.attempts <= (RETRY.max_attempts if row.is_slow else 2)


@rows(MENDABLE)
def test_a_wait_goes_on_over_a_fault_that_happens_once(
    row: Row, caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, _ = play(row, caller, gateway, monkeypatch, "wait_for_token", is_once=True, poll=POLL, timeout=10.0)
    assert isinstance(outcome.got, PaymentToken)
    assert outcome.attempts == 2 or row.is_slow


def test_the_page_has_the_rows_and_no_others() -> None:
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    assert table[0] == HEADINGS
    measured = HEADINGS.index("measured")
    assert [row[:measured] + row[measured + 1 :] for row in table[2:]] == [row.cells for row in ROWS]


def test_every_fault_of_the_matrix_has_its_own_name() -> None:
    assert len({row.fault for row in ROWS}) == len(ROWS)
