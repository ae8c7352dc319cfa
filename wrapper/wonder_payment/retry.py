"""When to retry a failed attempt and when to poll again: pure decisions, no I/O, no clock."""

import os
import random
import threading
from collections.abc import Callable
from typing import Any, Self, cast

import attrs

from .errors import ConfigurationError, RequestTimeoutError, WonderError

__all__ = ["PollPolicy", "RetryPolicy"]


def number(
    name: str, value: object, *, minimum: float = 0.0, maximum: float = 1e9, above: bool = False, whole: bool = False
) -> None:
    """Check that ``value`` is a number within the bounds.

    Args:
        name: The setting.
        value: Its value.
        minimum: The lowest number.
        maximum: The highest number.
        above: Whether ``minimum`` itself is too low.
        whole: Whether it must be a whole number.

    Raises:
        ConfigurationError: It is not; the message names the setting.
    """
    kind = type(value)  # not __class__, which a mock can fake
    is_number = issubclass(kind, int if whole else int | float) and kind is not bool
    if not is_number or not minimum <= cast("float", value) <= maximum or (above and value == minimum):
        expected = (
            f"a {'whole ' if whole else ''}number {'above' if above else 'from'} {minimum:g} up to {maximum:,.10g}"
        )
        is_short = kind is float or (kind is int and abs(cast("int", value)) < 10**18)
        given = repr(value) if is_short else kind.__name__
        raise ConfigurationError(f"{name} must be {expected}, not {given}.", attempts=0)


def _checked(**bounds: Any) -> Callable[[object, "attrs.Attribute[Any]", object], None]:
    return lambda _instance, attribute, value: number(attribute.name, value, **bounds)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed attempt is retried.

    Timeouts, transient network errors and the statuses 408, 425, 429 and 500 and above are retried. A wrong
    certificate, a response that is not HTTP, and a proxy's 4xx (except 408 and 429) are not. A retry is safe, because a
    check changes nothing at the gateway. The delay starts at ``backoff_initial`` and doubles with each attempt, up to
    ``backoff_max``. A random part of it, the jitter, is then subtracted. A longer ``Retry-After`` replaces the delay.
    If the delay does not fit into the rest of ``max_elapsed``, the last error is raised at once.

    All calls of a client share one retry quota, so that retries do not make an outage worse. Each retry takes points,
    and each success gives some back. If too few points are left, a failure is not retried, and its message says so. In
    a batch, it pauses all tokens instead, and the token is checked again. The quota's defaults are those of the AWS
    SDKs' standard retry mode.

    Attributes:
        max_attempts: How many attempts to make in all, at least 1. Attempts that pause a batch do not count, but a
            token may cause at most eight pauses for each retry.
        max_elapsed: Seconds for all attempts and the delays between them. The pauses of a batch do not count.
        backoff_initial: Seconds before the second attempt, before jitter.
        backoff_max: The longest backoff in seconds, before jitter.
        jitter: The random share of the backoff, from 0 (none) to 1 (anything from no delay to the whole backoff).
            Jitter keeps many clients from retrying at the same moment.
        quota: The points that a client may spend on retries, at least ``quota_per_retry`` and
            ``quota_per_timeout``. None turns the quota off.
        quota_per_retry: The points that a retry takes. If the retry succeeds, the client gets them back.
        quota_per_timeout: The points that a retry after a timeout takes. A timeout has kept a connection busy.
        quota_per_success: The points that the client gets back if a call succeeds without a retry.

    Raises:
        ConfigurationError: A value is out of bounds.
    """

    max_attempts: int = attrs.field(default=4, validator=_checked(minimum=1, whole=True))
    max_elapsed: float = attrs.field(default=30.0, validator=_checked(above=True))
    backoff_initial: float = attrs.field(default=0.5, validator=_checked())
    backoff_max: float = attrs.field(default=8.0, validator=_checked())
    jitter: float = attrs.field(default=1.0, validator=_checked(maximum=1.0))
    quota: int | None = 500
    quota_per_retry: int = attrs.field(default=5, validator=_checked(minimum=1, whole=True))
    quota_per_timeout: int = attrs.field(default=10, validator=_checked(minimum=1, whole=True))
    quota_per_success: int = attrs.field(default=1, validator=_checked(minimum=1, whole=True))

    def __attrs_post_init__(self) -> None:
        if self.quota is not None:
            number("quota", self.quota, minimum=max(self.quota_per_retry, self.quota_per_timeout), whole=True)

    @classmethod
    def never(cls) -> Self:
        """Return the policy that makes one attempt and does not retry."""
        return cls(max_attempts=1)

    def delay(self, error: WonderError | None, attempt: int) -> float:
        """Return the seconds to wait before the next attempt.

        Args:
            error: The error of the last attempt.
            attempt: The number of the last attempt, from 1.
        """
        # Past 2 ** 60 the backoff is at its maximum, whatever the exponent; a float overflows at some point.
        backoff = min(self.backoff_max, self.backoff_initial * 2.0 ** min(attempt - 1, 60))
        backoff *= 1 - self.jitter * random.random()  # noqa: S311 (no secret depends on it)
        return max(backoff, (error and error.retry_after) or 0.0)


class RetryQuota:
    """What a client has spent of its retry quota. All its calls share it, in all threads.

    Attributes:
        spent: The points that are spent.
    """

    def __init__(self) -> None:
        self.spent = 0

    def take(self, retry: RetryPolicy, error: BaseException) -> int:
        """Take the points for a retry after ``error`` and return how many; 0 if too few are left."""
        points = retry.quota_per_timeout if isinstance(error, RequestTimeoutError) else retry.quota_per_retry
        if retry.quota is not None:
            with _lock:
                if self.spent + points > retry.quota:
                    return 0
                self.spent += points
        return points

    def give_back(self, points: int) -> None:
        """Give back the points of a success."""
        if self.spent:  # in normal operation nothing is spent, and no lock is needed
            with _lock:
                self.spent = max(0, self.spent - points)


# One lock for all quotas, held during a fork: otherwise a child could inherit it locked by a thread that it does not
# have.
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@attrs.frozen(kw_only=True)
class PollPolicy:
    """How long to wait between two polls of a token while 3-D Secure is pending.

    A frictionless 3-D Secure takes seconds. A challenge takes from half a minute to several minutes. The interval
    therefore begins at ``interval_initial`` and grows with the time waited, up to ``interval_max``. The defaults come
    from a simulation, ``benchmarks/polling.py``.

    Attributes:
        interval_initial: Seconds between the first two polls, above 0.
        interval_max: The longest interval in seconds, at least ``interval_initial``.
        growth: Seconds by which the interval grows for each second waited.
        jitter: The share by which an interval varies at random, up or down, from 0 to 0.99.

    Raises:
        ConfigurationError: A value is out of bounds.
    """

    interval_initial: float = attrs.field(default=0.6, validator=_checked(above=True))
    interval_max: float = 3.0
    growth: float = attrs.field(default=0.35, validator=_checked())
    jitter: float = attrs.field(default=0.1, validator=_checked(maximum=0.99))

    def __attrs_post_init__(self) -> None:
        number("interval_max", self.interval_max, minimum=self.interval_initial)

    def delay(self, elapsed: float) -> float:
        """Return the seconds until the next poll.

        Args:
            elapsed: Seconds waited so far.
        """
        interval = min(self.interval_max, self.interval_initial + self.growth * elapsed)
        return interval * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 (no secret depends on it)
