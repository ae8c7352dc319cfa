"""The targets of the benchmark: what is compared, and when a target is met."""

import pytest

from benchmarks.targets import CPU, IN_FLIGHT, LAG, ONE_BY_ONE, SPEED, TIME, Figure, Target, missed


def turn(seconds: float, cpu: float = 1.0, lag: float = 0.0) -> dict[str, object]:
    return {"calls": 10, "seconds": 10 * seconds, "cpu": 10 * cpu, "lags": [lag] * 3}


@pytest.mark.parametrize(
    ("figure", "ours", "theirs", "expected"),
    [
        pytest.param(CPU, turn(5, cpu=1), turn(1, cpu=2), 0.5, id="CPU"),
        pytest.param(TIME, turn(5), turn(2), 2.5, id="time"),
        pytest.param(SPEED, turn(1, cpu=9), turn(4), 4.0, id="speed"),
        pytest.param(LAG, turn(1, lag=0.005), turn(1, lag=0.002), 3.0, id="lag in milliseconds"),
    ],
)
def test_figure_compares_two_turns(
    figure: Figure, ours: dict[str, object], theirs: dict[str, object], expected: float
) -> None:
    assert figure.compare(ours, theirs) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("figure", "bound", "seconds", "is_met"),
    [
        pytest.param(TIME, 1.0, 1.04, True, id="at most, within the tolerance"),
        pytest.param(TIME, 1.0, 1.06, False, id="at most, missed"),
        pytest.param(SPEED, 2.0, 1 / 1.91, True, id="at least, within the tolerance"),
        pytest.param(SPEED, 2.0, 1 / 1.89, False, id="at least, missed"),
    ],
)
def test_target_is_missed_only_beyond_the_tolerance(figure: Figure, bound: float, seconds: float, is_met: bool) -> None:  # noqa: FBT001
    rounds = [{"ours": turn(seconds), "theirs": turn(1)}] * 7
    row = Target(ONE_BY_ONE, "ours", figure, "theirs", bound).row(rounds)
    assert bool(missed([row])) is not is_met


def test_target_compares_within_each_round_and_takes_the_median() -> None:
    seconds = [(1, 2), (10, 20), (1, 9)]
    rounds = [{"ours": turn(ours), "theirs": turn(theirs)} for ours, theirs in seconds]
    row = Target(IN_FLIGHT, "ours", SPEED, "theirs", 2).row(rounds)
    assert row == ("ours, 64 in flight: speed relative to theirs", "at least 2 x", "2.00 (2.00 to 7.60) x", "yes")
