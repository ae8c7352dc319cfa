"""One wait for 3-D Secure to end: its looks, and the time they share. No I/O."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NoReturn, cast

import attrs
from tenacity import Future, RetryCallState, stop_before_delay

from .config import checked_listener
from .errors import APIError, ConfigurationError, StillPendingError, WonderError, redact, tell
from .retry import PollPolicy, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from .call import Call
    from .token import PaymentToken

__all__ = ["Wait"]

# What is kept of the budget for the last look: twice the time of the last attempt, between these seconds (less fails
# a look for a moment's delay), and at most this share of the budget.
_LAST_LOOK_LEAST, _LAST_LOOK_MOST, _LAST_LOOK = 0.25, 1.0, 0.1


@attrs.define
class Wait:
    """How one wait goes on, and what it saw.

    Attributes:
        look: The call of the last look; at first the one that every look repeats.
        timeout: Seconds for all looks, their retries and the delays between them.
        poll: How long to wait between two looks.
        on_poll: Called with each answer.
    """

    look: Call
    timeout: float
    poll: PollPolicy
    on_poll: Callable[[PaymentToken], object] | None
    began: float = attrs.field(init=False)
    polls: int = 0
    attempts: int = 0
    token: PaymentToken | None = None
    failure: BaseException | None = None

    def __attrs_post_init__(self) -> None:
        self.began = time.monotonic()
        number("timeout", self.timeout, above=True)
        if not isinstance(self.poll, PollPolicy):
            raise ConfigurationError("poll must be a PollPolicy.")
        checked_listener("on_poll", self.on_poll)

    def loop(self) -> dict[str, Any]:
        """Return the settings of tenacity's loop over the looks."""
        return {
            "retry": self._goes_on,
            "wait": self._delay,
            "stop": stop_before_delay(self.timeout),
            "retry_error_callback": self._give_up,
        }

    def call(self) -> Call:
        """Return the next look's call: within what is left of the budget."""
        self.look = self.look.again(until=self.began + self.timeout)
        return self.look

    def _goes_on(self, state: RetryCallState) -> bool:
        """Take in what a look saw, and tell whether 3-D Secure lasts, or the look failed in a way that may pass."""
        seen = cast("Future", state.outcome)
        self.polls += 1
        self.attempts += self.look.attempts
        failure = self.failure = seen.exception()
        if failure:
            is_the_looks = failure is self.look.failure  # or has on_retry raised it?
            return is_the_looks and isinstance(failure, WonderError) and failure.is_transient
        self.token = token = cast("PaymentToken", seen.result())
        tell(self.on_poll, token)
        return token.is_pending

    def _delay(self, _state: RetryCallState) -> float:
        """Return the seconds until the next look; ``math.inf`` when none fits into what is left.

        The last look comes as late as it can, even where a ``Retry-After`` asks for later: it is one request, after a
        silence, and the caller's last chance of an answer.
        """
        elapsed = time.monotonic() - self.began
        left = (
            self.timeout
            - elapsed
            - min(max(2 * self.look.took, _LAST_LOOK_LEAST), self.timeout * _LAST_LOOK, _LAST_LOOK_MOST)
        )
        asked = (self.failure.retry_after if isinstance(self.failure, APIError) else None) or 0.0
        return min(max(self.poll.delay(elapsed), asked), left) if left > 0 else math.inf

    def _give_up(self, _state: RetryCallState) -> NoReturn:
        elapsed = time.monotonic() - self.began
        looks = "1 look" if self.polls == 1 else f"{self.polls} looks"
        state = f"the state is {redact(self.token.state)}" if self.token else "none was answered"
        raise StillPendingError(
            f"3-D Secure has not ended after {elapsed:.1f} s and {looks}; {state}. Wait again later.",
            token=self.token,
            elapsed=elapsed,
            polls=self.polls,
            attempts=self.attempts,
            request_id=getattr(self.failure or self.token, "request_id", None),
        ) from self.failure
