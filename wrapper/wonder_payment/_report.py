"""What a call reports while it runs: log lines, and the calls of its callbacks."""

import logging
import sys
from collections.abc import Callable
from http import HTTPStatus

from ._redact import clear_locals, redact
from .batch import Result
from .errors import APIError, InvalidResponseError, WonderError
from .events import AttemptEvent
from .models import PaymentToken, TokenState

logger = logging.getLogger("wonder_payment")
logger.addHandler(logging.NullHandler())

_STATES = frozenset[str](TokenState)


def _label(result: Result) -> str:
    """Return a result in a word or two, for a log line."""
    if isinstance(result, PaymentToken):
        return "succeeded"
    return f"HTTP {result.status_code}" if isinstance(result, APIError) else type(result).__name__


def report_attempt(
    result: Result, number: int, seconds: float, on_attempt: Callable[[AttemptEvent], object] | None
) -> None:
    """Log an attempt and call on_attempt."""
    if logger.isEnabledFor(logging.DEBUG):
        text = "attempt %d: %s after %.3f s (request id %s)"
        logger.debug(text, number, _label(result), seconds, result.request_id, extra=_fields(result, number, seconds))
    if on_attempt is not None:
        error = result if isinstance(result, WonderError) else None
        if error:
            clear_locals(error, sys.exception())
        on_attempt(AttemptEvent(number, _status(result), error, seconds, result.request_id))


def report_retry(
    failure: WonderError,
    number: int,
    seconds: float,
    delay: float,
    on_retry: Callable[[WonderError, float], object] | None,
) -> None:
    """Log a retry and call on_retry."""
    text = "attempt %d: %s; retry in %.2f s (request id %s)"
    logger.warning(text, number, _label(failure), delay, failure.request_id, extra=_fields(failure, number, seconds))
    if on_retry is not None:
        clear_locals(failure, sys.exception())
        on_retry(failure, delay)


def _status(result: Result) -> int | None:
    if isinstance(result, PaymentToken):
        return HTTPStatus.OK.value
    return result.status_code if isinstance(result, APIError | InvalidResponseError) else None


def _fields(result: Result, number: int, seconds: float) -> dict[str, object]:
    """Return the fields of the log record of an attempt."""
    return {"request_id": result.request_id, "attempt": number, "status": _status(result), "elapsed": seconds}


def warn_of_unknown_state(token: PaymentToken, logged: dict[str, object]) -> None:
    """Log once per client that the gateway returned a state this version does not know."""
    # setdefault() is atomic: the threads of a batch share the policy.
    mine = object()
    if token.state not in _STATES and logged.setdefault("logged", mine) is mine:
        logger.warning("unknown state %s counts as pending (request id %s)", redact(token.state), token.request_id)
