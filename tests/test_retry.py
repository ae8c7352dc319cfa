"""RetryPolicy and PollPolicy: numbers in, seconds out."""

import math
import pickle
import re
from typing import Any

import attrs
import pytest
from wonder_payment import ConfigurationError, PollPolicy, RetryPolicy

NUMBERS = [
    *((RetryPolicy, field) for field in ("max_attempts", "max_elapsed", "backoff_initial", "backoff_max", "jitter")),
    *((PollPolicy, field) for field in ("interval_initial", "interval_max", "growth", "jitter")),
]


@pytest.mark.parametrize(("kind", "field"), NUMBERS)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1", None, True, pytest.param(10**400, id="10**400")])
def test_a_policy_rejects_a_value_that_is_no_number_within_the_bounds(kind: Any, field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{field} must be a number"):
        kind(**{field: value})


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (RetryPolicy, {"max_attempts": 0}, "max_attempts must be a number from 1 up to 1,000,000,000, not 0."),
        (RetryPolicy, {"max_attempts": 1.5}, "max_attempts must be a whole number, not 1.5."),
        (RetryPolicy, {"max_elapsed": 0}, "max_elapsed must be a number above 0 up to 1,000,000,000, not 0."),
        (
            RetryPolicy,
            {"backoff_max": 1e9 + 1},
            "backoff_max must be a number from 0 up to 1,000,000,000, not 1000000001.0.",
        ),
        (RetryPolicy, {"jitter": 1.5}, "jitter must be a number from 0 up to 1, not 1.5."),
        (PollPolicy, {"interval_initial": 0}, "interval_initial must be a number above 0 up to 1,000,000,000, not 0."),
        (PollPolicy, {"interval_max": 0}, "interval_max must be a number from 0.6 up to 1,000,000,000, not 0."),
        (PollPolicy, {"interval_initial": 4.0}, "interval_max must be a number from 4 up to 1,000,000,000, not 3.0."),
        (PollPolicy, {"jitter": 1}, "jitter must be a number from 0 up to 0.99, not 1."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_message_has_the_field_and_its_bounds(kind: Any, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        kind(**settings)


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy(max_attempts=1, backoff_initial=0, backoff_max=0, jitter=0),
        RetryPolicy(max_attempts=10**9, max_elapsed=1e9, backoff_initial=1e9, backoff_max=1e9, jitter=1),
        PollPolicy(interval_initial=2.0, interval_max=2.0, growth=0, jitter=0),
        PollPolicy(interval_initial=1e9, interval_max=1e9, growth=1e9, jitter=0.99),
        RetryPolicy.never(),
    ],
    ids=str,
)
def test_the_bounds_are_good_values_and_a_policy_is_pickled_by_value(policy: Any) -> None:
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301


@pytest.mark.parametrize(
    ("kind", "defaults"), [(RetryPolicy, (4, 30.0, 0.5, 8.0, 1.0)), (PollPolicy, (0.6, 3.0, 0.35, 0.1))]
)
def test_a_policy_has_the_documented_defaults_and_takes_names_only(kind: Any, defaults: tuple[float, ...]) -> None:
    assert attrs.astuple(kind()) == defaults
    with pytest.raises(TypeError, match="positional"):
        kind(1)


def test_never_is_one_attempt() -> None:
    assert RetryPolicy.never() == RetryPolicy(max_attempts=1)


def test_the_backoff_doubles_up_to_its_maximum() -> None:
    policy = RetryPolicy(backoff_initial=1.0, backoff_max=5.0, jitter=0.0)
    assert [policy.delay(None, attempt) for attempt in (1, 2, 3, 4, 5, 5_000)] == [1, 2, 4, 5, 5, 5]


def test_the_polling_interval_grows_with_the_time_waited_up_to_its_maximum() -> None:
    policy = PollPolicy(interval_initial=0.5, interval_max=3.0, growth=0.1, jitter=0.0)
    assert [policy.delay(elapsed) for elapsed in (0, 5, 10, 25, 1e9)] == [0.5, 1.0, 1.5, 3.0, 3.0]


@pytest.mark.parametrize(
    ("delay", "low", "high"),
    [
        (lambda: RetryPolicy(backoff_initial=4.0).delay(None, 1), 0.0, 4.0),
        (lambda: RetryPolicy(backoff_initial=4.0, jitter=0.25).delay(None, 1), 3.0, 4.0),
        (lambda: PollPolicy(interval_initial=1.0, growth=0.0, jitter=0.2).delay(0), 0.8, 1.2),
    ],
    ids=["full jitter", "a quarter", "a poll"],
)
def test_jitter_is_the_random_share_of_a_delay(delay: Any, low: float, high: float) -> None:
    delays = [delay() for _ in range(2_000)]
    margin = 0.1 * (high - low)
    assert low <= min(delays) < low + margin
    assert high - margin < max(delays) <= high
