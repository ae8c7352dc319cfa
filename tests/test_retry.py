"""RetryPolicy and PollPolicy: numbers in, seconds out."""

import math
import os
import pickle
import sys
import threading
from typing import Any

import attrs
import pytest
from wonder_payment import ConfigurationError, NetworkError, PollPolicy, RequestTimeoutError, RetryPolicy, ServerError
from wonder_payment.retry import RetryQuota

NUMBERS = [
    *((RetryPolicy, field) for field in ("max_attempts", "max_elapsed", "backoff_initial", "backoff_max", "jitter")),
    *((RetryPolicy, field) for field in ("quota", "quota_per_retry", "quota_per_timeout", "quota_per_success")),
    *((PollPolicy, field) for field in ("interval_initial", "interval_max", "growth", "jitter")),
]


@pytest.mark.parametrize(("kind", "field"), NUMBERS)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1", None, True, pytest.param(10**400, id="10**400")])
def test_a_policy_rejects_a_value_that_is_no_number_within_the_bounds(kind: Any, field: str, value: Any) -> None:
    if (field, value) == ("quota", None):
        assert kind(quota=None).quota is None  # turned off
        return
    with pytest.raises(ConfigurationError, match=f"^{field} must be a (whole )?number"):
        kind(**{field: value})


WHOLE = "must be a whole number from 1 up to 1,000,000,000"


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (RetryPolicy, {"max_attempts": 0}, f"max_attempts {WHOLE}, not 0."),
        (RetryPolicy, {"max_attempts": 1.5}, f"max_attempts {WHOLE}, not 1.5."),
        (RetryPolicy, {"max_elapsed": 0}, "max_elapsed must be a number above 0 up to 1,000,000,000, not 0."),
        (
            RetryPolicy,
            {"backoff_max": 2e9},
            "backoff_max must be a number from 0 up to 1,000,000,000, not 2000000000.0.",
        ),
        (
            RetryPolicy,
            {"backoff_max": 10**18 - 1},
            "backoff_max must be a number from 0 up to 1,000,000,000, not 999999999999999999.",
        ),
        (RetryPolicy, {"backoff_max": 10**18}, "backoff_max must be a number from 0 up to 1,000,000,000, not int."),
        (RetryPolicy, {"backoff_max": 10**19}, "backoff_max must be a number from 0 up to 1,000,000,000, not int."),
        (RetryPolicy, {"jitter": 1.5}, "jitter must be a number from 0 up to 1, not 1.5."),
        (RetryPolicy, {"quota": 0}, "quota must be a whole number from 10 up to 1,000,000,000, not 0."),
        (RetryPolicy, {"quota": 9}, "quota must be a whole number from 10 up to 1,000,000,000, not 9."),
        (RetryPolicy, {"quota": 500.0}, "quota must be a whole number from 10 up to 1,000,000,000, not 500.0."),
        (
            RetryPolicy,
            {"quota_per_retry": 501},
            "quota must be a whole number from 501 up to 1,000,000,000, not 500.",
        ),
        (RetryPolicy, {"quota_per_retry": 0}, f"quota_per_retry {WHOLE}, not 0."),
        (RetryPolicy, {"quota_per_retry": 1.5}, f"quota_per_retry {WHOLE}, not 1.5."),
        (RetryPolicy, {"quota_per_timeout": 1.5}, f"quota_per_timeout {WHOLE}, not 1.5."),
        (RetryPolicy, {"quota_per_success": 0}, f"quota_per_success {WHOLE}, not 0."),
        (RetryPolicy, {"quota_per_success": 1.5}, f"quota_per_success {WHOLE}, not 1.5."),
        (PollPolicy, {"interval_initial": 0}, "interval_initial must be a number above 0 up to 1,000,000,000, not 0."),
        (PollPolicy, {"interval_max": 0}, "interval_max must be a number from 0.6 up to 1,000,000,000, not 0."),
        (PollPolicy, {"interval_initial": 4.0}, "interval_max must be a number from 4 up to 1,000,000,000, not 3.0."),
        (PollPolicy, {"jitter": 1}, "jitter must be a number from 0 up to 0.99, not 1."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_message_has_the_field_and_its_bounds(kind: Any, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(**settings)
    assert str(caught.value) == f"{message} (nothing was sent)"


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy(max_attempts=1, backoff_initial=0, backoff_max=0, jitter=0),
        RetryPolicy(max_attempts=10**9, max_elapsed=1e9, backoff_initial=1e9, backoff_max=1e9, jitter=1),
        RetryPolicy(quota=1, quota_per_retry=1, quota_per_timeout=1, quota_per_success=1),
        RetryPolicy(quota=10**9, quota_per_retry=10**9, quota_per_timeout=10**9, quota_per_success=10**9),
        RetryPolicy(quota=None, quota_per_retry=1_000),
        PollPolicy(interval_initial=2.0, interval_max=2.0, growth=0, jitter=0),
        PollPolicy(interval_initial=1e9, interval_max=1e9, growth=1e9, jitter=0.99),
        RetryPolicy.never(),
    ],
    ids=str,
)
def test_the_bounds_are_good_values_and_a_policy_is_pickled_by_value(policy: Any) -> None:
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301


@pytest.mark.parametrize(
    ("kind", "defaults"), [(RetryPolicy, (4, 30.0, 0.5, 8.0, 1.0, 500, 5, 10, 1)), (PollPolicy, (0.6, 3.0, 0.35, 0.1))]
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


# The quota

TEN = RetryPolicy(quota=10, quota_per_retry=3, quota_per_timeout=5, quota_per_success=1)
FAILED, NO_RESPONSE, LATE = ServerError("503", status_code=503), NetworkError("reset"), RequestTimeoutError("late")


@pytest.mark.parametrize(
    ("retry", "steps", "spent"),
    [
        pytest.param(TEN, [], 0, id="nothing"),
        pytest.param(
            TEN, [(FAILED, 3), (NO_RESPONSE, 3), (LATE, 0), (FAILED, 3), (FAILED, 0)], 9, id="until it is spent"
        ),
        pytest.param(TEN, [(LATE, 5), (LATE, 5), (FAILED, 0)], 10, id="to the last point"),
        pytest.param(TEN, [(FAILED, 3), (FAILED, 3), (FAILED, 3), 1, (FAILED, 0), 1, (FAILED, 3)], 10, id="successes"),
        pytest.param(TEN, [(LATE, 5), (LATE, 5), 5, (LATE, 5)], 10, id="a successful retry"),
        pytest.param(TEN, [(FAILED, 3), 5, 1], 0, id="no more than was spent"),
        pytest.param(RetryPolicy(quota=None), [(FAILED, 5), (LATE, 10)] * 1_000, 0, id="turned off"),
    ],
)
def test_retries_take_from_the_quota_and_successes_give_back(retry: RetryPolicy, steps: list[Any], spent: int) -> None:
    quota = RetryQuota()
    for step in steps:
        if isinstance(step, int):
            quota.give_back(step)
        else:
            error, taken = step
            assert quota.take(retry, error) == taken
    assert quota.spent == spent


def test_a_quota_has_the_limit_of_the_policy_that_takes() -> None:
    quota, smaller = RetryQuota(), RetryPolicy(quota=10)
    assert [quota.take(smaller, FAILED) for _ in range(3)] == [5, 5, 0]
    assert quota.take(RetryPolicy(), FAILED) == 5
    assert quota.take(RetryPolicy(quota=None), FAILED) == 5
    assert quota.spent == 15


def test_threads_never_take_more_than_the_quota() -> None:
    interval, quota, taken = sys.getswitchinterval(), RetryQuota(), list[int]()

    def call() -> None:
        taken.extend(quota.take(RetryPolicy(), FAILED) for _ in range(50))

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert (sum(taken), quota.spent, taken.count(5)) == (500, 500, 100)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_can_use_the_quota_that_a_thread_was_using() -> None:
    quota, is_over = RetryQuota(), threading.Event()

    def use() -> None:
        while not is_over.is_set():
            quota.give_back(quota.take(RetryPolicy(), FAILED))

    thread = threading.Thread(target=use)
    thread.start()
    try:
        for _ in range(20):
            if not (child := os.fork()):
                os._exit(quota.take(RetryPolicy(), FAILED))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    finally:
        is_over.set()
        thread.join()
