"""What a call reports while it runs: log lines, and the calls of its callbacks."""

import logging
import sys
from collections.abc import Callable
from typing import TypeAlias

from ._redact import clear_locals, redact
from .batch import Result
from .errors import APIError, WonderError
from .events import AttemptEvent
from .models import PaymentToken, TokenState

OnAttempt: TypeAlias = Callable[[AttemptEvent], object]
OnRetry: TypeAlias = Callable[[WonderError, float], object]

logger = logging.getLogger("wonder_payment")
logger.addHandler(logging.NullHandler())

_STATES = frozenset[str](TokenState)


def report_attempt(result: Result, number: int, seconds: float, on_attempt: OnAttempt | None) -> None:
    """Log an attempt and call on_attempt."""
    if logger.isEnabledFor(logging.DEBUG):
        _log(logging.DEBUG, "attempt %d: %s after %.3f s (request id %s)", result, number, seconds, seconds)
    if on_attempt is not None:
        error = result if isinstance(result, WonderError) else None
        clear_locals(error, sys.exception())
        on_attempt(AttemptEvent(number, _status(result), error, seconds, result.request_id))


def report_retry(failure: WonderError, number: int, seconds: float, delay: float, on_retry: OnRetry | None) -> None:
    """Log a retry and call on_retry."""
    _log(logging.WARNING, "attempt %d: %s; retry in %.2f s (request id %s)", failure, number, seconds, delay)
    if on_retry is not None:
        clear_locals(failure, sys.exception())
        on_retry(failure, delay)


def _status(result: Result) -> int | None:
    return 200 if isinstance(result, PaymentToken) else result.status_code


def _log(level: int, text: str, result: Result, number: int, elapsed: float, shown_seconds: float) -> None:
    status = _status(result)
    label = "succeeded" if isinstance(result, PaymentToken) else type(result).__name__
    label = f"HTTP {status}" if isinstance(result, APIError) else label
    fields = {"request_id": result.request_id, "attempt": number, "status": status, "elapsed": elapsed}
    logger.log(level, text, number, label, shown_seconds, result.request_id, extra=fields)


def warn_of_unknown_state(token: PaymentToken, logged: dict[str, object]) -> None:
    """Log once per client that the gateway returned a state this version does not know."""
    # setdefault() is atomic: the threads of a batch share the policy.
    mine = object()
    if token.state not in _STATES and logged.setdefault("logged", mine) is mine:
        logger.warning("unknown state %s counts as pending (request id %s)", redact(token.state), token.request_id)
