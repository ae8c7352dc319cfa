"""One call of the facade: its attempts, the time they have, and what their errors tell. No I/O."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self, cast

import attrs
from tenacity import RetryCallState, retry_if_exception

from .errors import InvalidResponseError, RequestTimeoutError, WonderError, tell
from .retry import RetryPolicy, describe
from .token import PaymentToken

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from uuid import UUID

__all__ = ["Attempt", "Call", "current_attempt", "error_of"]

logger = logging.getLogger("wonder_payment")
logger.addHandler(logging.NullHandler())


@attrs.define
class Attempt:
    """What passes between the facade and the httpx client around the generated code, which has no parameter for it.

    Attributes:
        deadline: When the attempt must be over, by time.monotonic().
        request_id: The X-Request-ID of its last HTTP request, once there was one.
    """

    deadline: float
    request_id: str | None = None


current_attempt: ContextVar[Attempt] = ContextVar("current_attempt")


@attrs.define
class Call:
    """What one call asks, how it is repeated, and how often it was.

    Attributes:
        asked: The token it asks for.
        arguments: What the generated function takes.
        retry: When a failed attempt is repeated.
        timeout: Seconds for one attempt.
        deadline: When the whole call must be over, by time.monotonic().
        on_retry: Called before each delay.
        attempts: How many attempts were made so far.
        failure: What the last attempt ended in, if it failed. One that only the call's own end made too late tells
            less than the failure before it, which stands.
        took: Seconds that the last attempt took.
    """

    asked: UUID = attrs.field(repr=False)
    arguments: dict[str, Any] = attrs.field(repr=False)
    retry: RetryPolicy
    timeout: float
    deadline: float
    on_retry: Callable[[WonderError, float], object] | None = None
    attempts: int = 0
    failure: WonderError | None = None
    took: float = 0.0

    def again(self, *, until: float) -> Self:
        """Return the same call, not yet made, to be over at the latest by then (time.monotonic())."""
        deadline = min(time.monotonic() + self.retry.max_elapsed, until)
        return attrs.evolve(self, deadline=deadline, attempts=0)

    def loop(self) -> dict[str, Any]:
        """Return the settings of tenacity's loop over the attempts."""
        return {
            "retry": retry_if_exception(self.is_repeated),
            "wait": self._delay,
            "stop": self.is_over,
            "before_sleep": self._before_delay,
            "reraise": True,
        }

    def is_repeated(self, error: BaseException) -> bool:
        """Tell whether an attempt that ended like this may be repeated."""
        return isinstance(error, WonderError) and error.is_transient

    def is_over(self, state: RetryCallState) -> bool:
        """Tell whether the error is the last word."""
        return self.attempts >= self.retry.max_attempts or self.is_late(state)

    def is_late(self, state: RetryCallState) -> bool:
        """Tell whether no further attempt fits after the delay."""
        return time.monotonic() + state.upcoming_sleep >= self.deadline

    @contextmanager
    def attempt(self) -> Generator[Attempt]:
        """Give an attempt its deadline, and its error what the caller needs; let no other kind of error out."""
        self.attempts += 1
        began = time.monotonic()
        attempt = Attempt(deadline=min(began + self.timeout, self.deadline))
        context = current_attempt.set(attempt)
        before, self.failure, failure = self.failure, None, None
        try:
            yield attempt
        except WonderError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 (the generated parser raises what it happens to meet)
            error.__traceback__ = None  # its frames hold the card
            # Only a KeyError's text is sure to be the contract's own.
            what = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else type(error).__name__
            failure = InvalidResponseError(f"The gateway's answer breaks the contract: {what}.")
        finally:
            current_attempt.reset(context)
        outcome = describe(failure) if failure else "answered"
        self.took = time.monotonic() - began
        logger.debug(
            "attempt %d: %s after %.3f s (request id %s)", self.attempts, outcome, self.took, attempt.request_id
        )
        if failure:
            failure.request_id = attempt.request_id
            was_cut_short = isinstance(failure, RequestTimeoutError) and attempt.deadline == self.deadline
            if was_cut_short and before and not isinstance(before, RequestTimeoutError):
                failure = before
            failure.attempts = self.attempts
            self.failure = failure
            failure.__context__ = None  # what its cause stands for, with all that it may quote
            raise failure from failure.__cause__

    def answer(self, parsed: Any, attempt: Attempt) -> PaymentToken:
        """Return in plain types what the generated client parsed."""
        try:
            answer = PaymentToken.from_model(parsed, request_id=attempt.request_id)
        except TypeError as error:
            problem = str(error)
        else:
            if answer.token.lower() == str(self.asked):
                return answer
            problem = "it is about another token than the one asked"
        raise InvalidResponseError(f"The gateway's answer breaks the contract: {problem}.")

    def _delay(self, state: RetryCallState) -> float:
        return self.retry.delay(error_of(state), state.attempt_number)

    def _before_delay(self, state: RetryCallState) -> None:
        error, delay = error_of(state), state.upcoming_sleep
        told = (self.attempts, describe(error), delay, error.request_id)
        logger.warning("attempt %d: %s; again in %.2f s (request id %s)", *told)
        tell(self.on_retry, error, delay)


def error_of(state: RetryCallState) -> WonderError:
    """Return the error of a failed attempt: attempt() lets no other kind out that is repeated."""
    return cast("WonderError", state.outcome and state.outcome.exception())
