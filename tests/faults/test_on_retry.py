"""The callback on_retry: when it is called, and with what."""

import asyncio
from collections import Counter

import pytest
from conftest import Caller, Clock
from wonder_payment import (
    NetworkError,
    NotFoundError,
    PollPolicy,
    RateLimitError,
    RetryPolicy,
    ServerError,
    StillPendingError,
    WonderError,
)
from wonder_payment.simulator import Fault, SimulatedGateway

STEADY = RetryPolicy(jitter=0.0)


class RetryCounter:
    """A counter with labels, such as that of Prometheus."""

    def __init__(self) -> None:
        self.values: Counter[str] = Counter()

    def count(self, error: WonderError, delay: float) -> None:
        assert delay >= 0
        self.values[type(error).__name__] += 1


def test_on_retry_can_count_retries_by_error(caller: Caller, gateway: SimulatedGateway, clock: Clock) -> None:
    for fault in (Fault(status=503, times=2), Fault(broken="reset before")):
        gateway.inject(fault)
    counter = RetryCounter()
    caller.check(gateway.add_token(), retry=STEADY, on_retry=counter.count)
    assert counter.values == {"ServerError": 2, "NetworkError": 1}
    assert len(clock.slept) == 3


def test_on_retry_is_called_before_each_delay_with_the_error_and_the_delay(
    caller: Caller, gateway: SimulatedGateway, clock: Clock
) -> None:
    gateway.inject(Fault(status=429, headers={"Retry-After": "7"}))
    gateway.inject(Fault(status=502))
    gateway.inject(Fault(broken="truncated"))
    seen: list[tuple[type[WonderError], int, str | None, float, int]] = []

    def on_retry(error: WonderError, delay: float) -> None:
        seen.append((type(error), error.attempts, error.request_id, delay, len(clock.slept)))

    caller.check(gateway.add_token(), retry=STEADY, on_retry=on_retry)
    ids = [request.request_id for request in gateway.requests]
    assert seen == [
        (RateLimitError, 1, ids[0], 7.0, 0),
        (ServerError, 2, ids[1], 1.0, 1),
        (NetworkError, 3, ids[2], 2.0, 2),
    ]
    assert clock.slept == [7.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("fault", "retry", "kind"),
    [
        (None, STEADY, None),
        (Fault(status=404), STEADY, NotFoundError),
        (Fault(status=503), RetryPolicy.never(), ServerError),
        (Fault(status=429, headers={"Retry-After": "3600"}), STEADY, RateLimitError),
    ],
    ids=["a token", "404", "never", "a delay that does not fit"],
)
def test_on_retry_is_not_called_without_a_retry(
    caller: Caller,
    gateway: SimulatedGateway,
    fault: Fault | None,
    retry: RetryPolicy,
    kind: type[WonderError] | None,
) -> None:
    if fault:
        gateway.inject(fault)
    counter = RetryCounter()
    if kind:
        with pytest.raises(kind):
            caller.check(gateway.add_token(), retry=retry, on_retry=counter.count)
    else:
        caller.check(gateway.add_token(), retry=retry, on_retry=counter.count)
    assert counter.values == {}
    assert len(gateway.requests) == 1


def test_on_retry_is_not_called_for_the_last_attempt(caller: Caller, gateway: SimulatedGateway, clock: Clock) -> None:
    gateway.inject(Fault(status=503, times=3))
    counter = RetryCounter()
    with pytest.raises(ServerError) as caught:
        caller.check(gateway.add_token(), retry=RetryPolicy(max_attempts=3), on_retry=counter.count)
    assert (caught.value.attempts, counter.values["ServerError"], len(clock.slept)) == (3, 2, 2)


def test_on_retry_is_called_for_the_retries_of_polls_and_not_for_polls(
    caller: Caller, gateway: SimulatedGateway, clock: Clock
) -> None:
    token = gateway.add_token(states=["pending", "pending", "success"])
    counter = RetryCounter()
    gateway.inject(Fault(status=503), token=token)
    options = {"poll": PollPolicy(interval_initial=1.0, growth=0.0, jitter=0.0)}
    caller.wait(token, settings={"retry": STEADY, "on_retry": counter.count}, **options)
    assert counter.values == {"ServerError": 1}
    assert [request.status for request in gateway.requests] == [503, 200, 200, 200]
    assert clock.slept[0] == 0.5


def test_on_retry_is_not_called_for_a_failed_poll_that_is_not_retried(
    caller: Caller, gateway: SimulatedGateway, clock: Clock
) -> None:
    gateway.inject(Fault(status=503, times=1_000))
    counter = RetryCounter()
    with pytest.raises(StillPendingError):
        caller.wait(
            gateway.add_token(), settings={"retry": RetryPolicy.never(), "on_retry": counter.count}, timeout=5.0
        )
    assert counter.values == {}
    assert clock.slept


def test_on_retry_is_an_argument_of_from_env(gateway: SimulatedGateway, caller: Caller, clock: Clock) -> None:
    counter = RetryCounter()
    kind = type(caller.make())
    from_env = kind.from_env(gateway.environ, on_retry=counter.count)
    gateway.inject(Fault(status=503))
    token = gateway.add_token()

    async def check() -> None:
        await from_env.check_token(token)

    if caller.is_async:
        asyncio.run(check())
    else:
        from_env.check_token(token)
    assert counter.values == {"ServerError": 1}
    assert len(clock.slept) == 1
