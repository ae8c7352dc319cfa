"""When to ask again, after a failed attempt and while 3-D Secure lasts: pure decisions, no I/O, no clock."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Self, cast

import attrs

from .errors import APIError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PollPolicy", "RetryPolicy"]


def number(name: str, value: object, *, least: float = 0.0, most: float = 1e9, above: bool = False) -> None:
    """Check that ``value`` is a number in the bounds.

    Raises:
        ConfigurationError: It is not; the message names the setting.
    """
    kind = type(value)  # what it says it is, a mock may
    is_number = issubclass(kind, int | float) and kind is not bool and least <= cast("float", value) <= most
    if not is_number or (above and value == least):
        bounds = f"{'above' if above else 'from'} {least:g} up to {most:,.10g}"
        raise ConfigurationError(f"{name} must be a number {bounds}.")


def whole_number(name: str, value: object, **bounds: Any) -> None:
    """Check that ``value`` is a whole number in the bounds.

    Raises:
        ConfigurationError: It is not; the message names the setting.
    """
    number(name, value, **bounds)
    if not issubclass(type(value), int):
        raise ConfigurationError(f"{name} must be a whole number.")


def _checked(check: Callable[..., None], **bounds: Any) -> Callable[[object, attrs.Attribute[Any], object], None]:
    return lambda _instance, attribute, value: check(attribute.name, value, **bounds)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed attempt is repeated.

    Repeated are network errors, timeouts, and the statuses 408, 425, 429 and 500 and up. A check changes nothing at the
    gateway, so repeating it is safe. The delay before the next attempt is ``backoff_initial`` doubled with each
    attempt, at most ``backoff_max``, less a random part (the jitter); or what ``Retry-After`` asks for, if that is
    more. When the delay does not fit into what is left of ``max_elapsed``, the last error is raised at once.

    Attributes:
        max_attempts: How often to try in all, at least 1.
        max_elapsed: Seconds for all attempts and the delays between them.
        backoff_initial: Seconds before the second attempt, before jitter.
        backoff_max: The most seconds of backoff, before jitter.
        jitter: The share of the backoff that is random, from 0 (none) to 1 ("full jitter": anything between no delay
            and all of it), which keeps many clients from coming back in step.

    Raises:
        ConfigurationError: A value is out of its bounds.
    """

    max_attempts: int = attrs.field(default=4, validator=_checked(whole_number, least=1))
    max_elapsed: float = attrs.field(default=30.0, validator=_checked(number, above=True))
    backoff_initial: float = attrs.field(default=0.5, validator=_checked(number))
    backoff_max: float = attrs.field(default=8.0, validator=_checked(number))
    jitter: float = attrs.field(default=1.0, validator=_checked(number, most=1.0))

    @classmethod
    def never(cls) -> Self:
        """Return the policy that makes one attempt and no more."""
        return cls(max_attempts=1)

    def delay(self, error: BaseException | None, attempt: int) -> float:
        """Return the seconds to wait before the next attempt.

        Args:
            error: What the last attempt ended in.
            attempt: The number of the last attempt, from 1.
        """
        # Past 2 ** 60 the backoff is at its maximum, whatever the exponent; a float has an end.
        backoff = min(self.backoff_max, self.backoff_initial * 2.0 ** min(attempt - 1, 60))
        backoff *= 1 - self.jitter * random.random()  # noqa: S311 (no secret depends on it)
        retry_after = error.retry_after if isinstance(error, APIError) else None
        return max(backoff, retry_after or 0.0)


@attrs.frozen(kw_only=True)
class PollPolicy:
    """How long to wait between two looks at a token whose 3-D Secure has not ended.

    Many a card holder is waved through within seconds, the others take half a minute to minutes: the delay begins at
    ``shortest``, grows with the time already waited, and ends at ``longest``. The defaults come from a simulation,
    ``benchmarks/polling.py``.

    Attributes:
        shortest: Seconds between the first two looks, above 0.
        longest: The most seconds between two looks, at least ``shortest``.
        growth: Seconds that the delay grows with each second waited.
        jitter: The share by which a delay is off at random, in either direction, from 0 to less than 1.

    Raises:
        ConfigurationError: A value is out of its bounds.
    """

    shortest: float = attrs.field(default=0.6, validator=_checked(number, above=True))
    longest: float = 3.0
    growth: float = attrs.field(default=0.35, validator=_checked(number))
    jitter: float = attrs.field(default=0.1, validator=_checked(number, most=0.99))

    def __attrs_post_init__(self) -> None:
        number("longest", self.longest, least=self.shortest)

    def delay(self, elapsed: float) -> float:
        """Return the seconds until the next look.

        Args:
            elapsed: Seconds waited so far.
        """
        delay = min(self.longest, self.shortest + self.growth * elapsed)
        return delay * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 (no secret depends on it)


def describe(error: BaseException | None) -> str:
    """Return an error in a word or two, for a log line: its status, or else its class."""
    return f"HTTP {error.status_code}" if isinstance(error, APIError) else type(error).__name__
