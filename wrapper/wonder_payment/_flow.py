"""What a call and a wait do, step by step: every decision in reading order, and no I/O.

A flow is a generator of steps. It yields an `Attempt` and gets back a token or an error; it yields the seconds of a
delay and gets back nothing. `drive` and `drive_async` carry the steps out, so both clients share every decision.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeAlias, TypeVar, cast

import attrs

from ._redact import redact
from ._report import OnAttempt, OnRetry, report_attempt, report_retry, warn_of_unknown_state
from .batch import Result, Throttle
from .config import check_wait
from .errors import RateLimitError, RequestTimeoutError, StillPendingError, WonderError
from .models import PaymentToken
from .retry import PollPolicy, RetryPolicy, RetryQuota

_T = TypeVar("_T")
OnPoll: TypeAlias = Callable[[PaymentToken], object]

# Seconds before the deadline at which the final poll of a wait starts, and the highest share of the timeout.
_FINAL_POLL, _FINAL_POLL_SHARE = 1.0, 0.1

# Seconds by which a timer may end an attempt before its deadline.
_EARLY = 0.01

# How many pauses a token of a batch may cause for each retry of the policy.
_PAUSES_PER_RETRY = 8

# The shortest pause of a batch in seconds, after a failure while the retry quota is spent.
_MIN_OUTAGE_PAUSE = 1.0

_QUOTA_IS_SPENT = "No more retries: the retry quota of this client is spent, because too many requests failed."


@attrs.frozen
class Attempt:
    """Step: make one attempt, and return the token or the error.

    Attributes:
        timeout: Seconds for the attempt, once it has a connection.
        until: When it must end at the latest (time.monotonic()).
    """

    timeout: float
    until: float


@attrs.frozen
class Policy:
    """What a client's calls have in common.

    Attributes:
        retry: When a failed attempt is retried.
        timeout: Seconds for one attempt.
        on_retry: Called before each retry with the error and the delay in seconds.
        on_attempt: Called after each attempt.
        unknown_state: Set once the first state that this version does not know is logged.
        quota: The retry quota that all calls of the client share.
    """

    retry: RetryPolicy
    timeout: float
    on_retry: OnRetry | None = None
    on_attempt: OnAttempt | None = None
    unknown_state: dict[str, object] = attrs.field(factory=dict)
    quota: RetryQuota = attrs.field(factory=RetryQuota)


# What is sent into a flow is a PaymentToken or a WonderError for an Attempt, and None for a delay.
Steps: TypeAlias = Generator[Attempt | float, Any, _T]


def attempts(
    policy: Policy, *, until: float = math.inf, failure: WonderError | None = None, throttle: Throttle | None = None
) -> Steps[tuple[Result, int]]:
    """Make attempts until one succeeds, one fails for good, or the budget or the retry quota is spent.

    Return the token or the error of the last attempt, and how many attempts were made.

    Args:
        policy: The client's retry policy, timeout and callbacks.
        until: When the call must end at the latest (time.monotonic()).
        failure: The failure of the previous poll, which is reported instead of a timeout that ``until`` causes.
        throttle: The throttle that the tokens of a batch share. A rate limit pauses all of them. So does any transient
            failure while the retry quota is spent. A pause does not count as an attempt, and the deadline moves with
            it. A token gives up after it has caused eight pauses for each retry of the policy. The time until its slot
            does not count either.
    """
    retry = policy.retry
    deadline = min(time.monotonic() + retry.max_elapsed, until)
    number = pauses = 0
    refund = retry.quota_per_success
    while True:
        slot = throttle.slot() if throttle else 0.0
        while throttle and (left := slot - time.monotonic()) > 0:
            before = time.monotonic()
            yield left
            deadline += time.monotonic() - before
            slot = throttle.slot(slot)
        began = time.monotonic()
        result: Result = yield Attempt(policy.timeout, deadline)
        is_sent = result.request_id is not None
        number += is_sent
        seconds = time.monotonic() - began
        report_attempt(result, number if is_sent else 0, seconds, policy.on_attempt)
        if isinstance(result, PaymentToken):
            policy.quota.give_back(refund)
            warn_of_unknown_state(result, policy.unknown_state)
            return result, number
        # A timeout caused by the call's own deadline says less than the failure before it.
        is_cut_short = is_sent and isinstance(result, RequestTimeoutError) and time.monotonic() > deadline - _EARLY
        failure = failure if failure and is_cut_short and not isinstance(failure, RequestTimeoutError) else result
        failure.attempts = number
        delay = retry.delay(failure, number)
        is_limited = throttle is not None and _is_rate_limit(result)
        if throttle and is_limited:
            throttle.pause(delay)
        is_over = number - pauses >= retry.max_attempts or time.monotonic() + delay >= deadline
        is_last = pauses >= _PAUSES_PER_RETRY * (retry.max_attempts - 1) or (is_over and not is_limited)
        if is_last or not failure.is_transient:
            return failure, number
        taken = 0 if is_limited else policy.quota.take(retry, failure)
        if throttle and not taken:
            pauses += 1
            if not is_limited:
                delay = max(delay, _MIN_OUTAGE_PAUSE)
                throttle.pause(delay)
            deadline = time.monotonic() + retry.max_elapsed
        elif not taken:
            failure.args = (f"{failure.args[0]} {_QUOTA_IS_SPENT}",)
            return failure, number
        report_retry(failure, number, seconds, delay, policy.on_retry)
        if taken:
            refund = taken
            yield delay


def check(policy: Policy) -> Steps[PaymentToken]:
    """Make one call: return the token, or raise the error of the last attempt."""
    result, _number = yield from attempts(policy)
    if isinstance(result, WonderError):
        raise result
    return result


def wait(policy: Policy, *, timeout: float, poll: PollPolicy, on_poll: OnPoll | None) -> Steps[PaymentToken]:
    """Poll until 3-D Secure completes; raise StillPendingError when ``timeout`` seconds are over.

    A poll that fails with a transient error does not end the wait.
    """
    check_wait(timeout, poll, on_poll)
    began = time.monotonic()
    token: PaymentToken | None = None
    error: WonderError | None = None
    made = polls = 0
    while True:
        result, number = yield from attempts(policy, until=began + timeout, failure=error)
        polls += 1
        made += number
        error = result if isinstance(result, WonderError) else None
        if error and not error.is_transient:
            raise error
        if isinstance(result, PaymentToken):
            token = result
            if on_poll is not None:
                on_poll(token)
            if not token.is_pending:
                return token
        elapsed = time.monotonic() - began
        left = timeout - elapsed - min(_FINAL_POLL, timeout * _FINAL_POLL_SHARE)
        if left <= 0:
            break
        retry_after = (error and error.retry_after) or 0.0
        # The final poll runs just before the deadline, even if Retry-After asks for later: it is one request after a
        # silence, and the caller's last chance of a result.
        yield min(max(poll.delay(elapsed), retry_after), left)
    made_polls = "1 poll" if polls == 1 else f"{polls} polls"
    state = f"3-D Secure was still {redact(token.state)}" if token else "no poll succeeded"
    text = f"Timed out after {elapsed:.1f} s and {made_polls}: {state}. Wait again later."
    request_id = result.request_id
    raise StillPendingError(
        text, token=token, last_error=error, elapsed=elapsed, polls=polls, attempts=made, request_id=request_id
    ) from error


def drive(steps: Steps[_T], attempt: Callable[[Attempt], object], sleep: Callable[[float], object]) -> _T:
    """Carry out the steps of a flow and return what it returns."""
    result: object = None
    while True:
        try:
            step = steps.send(result)
        except StopIteration as end:
            return cast("_T", end.value)
        result = attempt(step) if isinstance(step, Attempt) else sleep(step)


async def drive_async(steps: Steps[_T], attempt: Callable[[Attempt], Awaitable[object]]) -> _T:
    """Carry out the steps of a flow in asyncio and return what it returns."""
    result: object = None
    while True:
        try:
            step = steps.send(result)
        except StopIteration as end:
            return cast("_T", end.value)
        result = await (attempt(step) if isinstance(step, Attempt) else asyncio.sleep(step))


def _is_rate_limit(error: WonderError) -> bool:
    """Return whether the gateway asks for fewer requests: it may say so with any transient status."""
    return isinstance(error, RateLimitError) or (error.is_transient and error.retry_after is not None)
