"""What a call reports while it runs: log lines, and the calls of its callbacks."""

import logging
import sys
from collections.abc import Callable
from http import HTTPStatus

import attrs

from ._redact import clear_locals, redact
from .batch import Result
from .errors import APIError, WonderError
from .models import PaymentToken, TokenState

logger = logging.getLogger("wonder_payment")
logger.addHandler(logging.NullHandler())

_STATES = frozenset[str](TokenState)


@attrs.frozen
class AttemptEvent:
    """What ``on_attempt`` gets after each attempt.

    Attributes:
        number: The number of the attempt within its call, from 1; 0 if no request was sent.
        status: The HTTP status; None if there was no response.
        error: What went wrong; None if the attempt succeeded.
        seconds: How long it took.
        request_id: Its X-Request-ID; None if no request was sent.
    """

    number: int
    status: int | None
    error: WonderError | None
    seconds: float
    request_id: str | None


def label(result: Result) -> str:
    """Return a result in a word or two, for a log line."""
    if isinstance(result, PaymentToken):
        return "succeeded"
    return f"HTTP {result.status_code}" if isinstance(result, APIError) else type(result).__name__


def report_attempt(
    result: Result, number: int, seconds: float, on_attempt: Callable[[AttemptEvent], object] | None
) -> None:
    """Log an attempt and call on_attempt."""
    error = result if isinstance(result, WonderError) else None
    event = AttemptEvent(number, _status(result), error, seconds, result.request_id)
    text = "attempt %d: %s after %.3f s (request id %s)"
    logger.debug(text, number, label(result), seconds, event.request_id, extra=_fields(event))
    if on_attempt is not None:
        if error:
            clear_locals(error, sys.exception())
        on_attempt(event)


def report_retry(
    failure: WonderError, delay: float, seconds: float, on_retry: Callable[[WonderError, float], object] | None
) -> None:
    """Log a retry and call on_retry."""
    event = AttemptEvent(failure.attempts or 0, _status(failure), failure, seconds, failure.request_id)
    text = "attempt %d: %s; retry in %.2f s (request id %s)"
    logger.warning(text, event.number, label(failure), delay, event.request_id, extra=_fields(event))
    if on_retry is not None:
        clear_locals(failure, sys.exception())
        on_retry(failure, delay)


def _status(result: Result) -> int | None:
    if isinstance(result, PaymentToken):
        return HTTPStatus.OK.value
    return result.status_code if isinstance(result, APIError) else None


def _fields(event: AttemptEvent) -> dict[str, object]:
    """Return the fields of a log record."""
    return {
        "request_id": event.request_id,
        "attempt": event.number,
        "status": event.status,
        "elapsed": event.seconds,
    }


def warn_of_unknown_state(token: PaymentToken, logged: dict[str, object]) -> None:
    """Log once per client that the gateway returned a state this version does not know."""
    # setdefault() is atomic: the threads of a batch share the policy.
    mine = object()
    if token.state not in _STATES and logged.setdefault("logged", mine) is mine:
        logger.warning("unknown state %s counts as pending (request id %s)", redact(token.state), token.request_id)
