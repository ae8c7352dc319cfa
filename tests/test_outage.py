"""What the retry quota does in a simulated outage: smaller runs of benchmarks/outage.py."""

import pytest
from wonder_payment import RetryPolicy

from benchmarks.outage import DEFAULT, MAX_REQUESTS, WITHOUT, failing, simulate_batch, simulate_calls, simulate_recovery


def test_an_outage_is_not_multiplied() -> None:
    without = simulate_calls(WITHOUT, failing(1.0), calls=1_000, seconds=6.0)
    calls = simulate_calls(DEFAULT, failing(1.0), calls=1_000, seconds=6.0)
    assert (without.per_call, without.failed, calls.failed) == (4.0, 1.0, 1.0)
    assert calls.per_call == pytest.approx(1.1)  # 500 points are 100 retries
    assert calls.per_call_spent
    assert calls.per_call_spent <= MAX_REQUESTS


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1])
def test_a_few_failures_are_retried_as_without_a_quota(share: float) -> None:
    calls, without = (simulate_calls(retry, failing(share), calls=1_000, seconds=6.0) for retry in (DEFAULT, WITHOUT))
    assert calls == without
    assert calls.per_call_spent is None
    assert calls.failed < 0.01


def test_the_quota_recovers_with_the_successes() -> None:
    assert simulate_recovery(DEFAULT, per_second=100.0) == pytest.approx((0.04 + 0.1, 4.99 + 0.1))


@pytest.mark.parametrize(("max_attempts", "max_failed"), [(4, 40), (20, 0)])
def test_a_batch_waits_for_the_end_of_an_outage(max_attempts: int, max_failed: int) -> None:
    outage = (2.0, 122.0)
    without = simulate_batch(WITHOUT, tokens=2_000, outage=outage)
    batch = simulate_batch(RetryPolicy(max_attempts=max_attempts), tokens=2_000, outage=outage)
    assert batch.failed <= max_failed < 500 < without.failed
    assert batch.per_second < 3.5
    assert batch.seconds < 122.0 + 8.0 + 2_000 / 16 * 0.1 * 1.5
