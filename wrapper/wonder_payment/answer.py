"""What an answer of the gateway says: a payment token, an error, or nothing that the contract knows. No I/O."""

from __future__ import annotations

import json
import math
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import attrs
import httpx

from . import errors
from .headers import clock_difference, retry_after
from .signing import CLOCK_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_BYTES", "good_answer"]

# An answer has some 500 bytes. What is larger than this is not read to its end.
MOST_BYTES = 1024 * 1024

# An answer has four levels and four objects. Hundreds of levels are too deep for pickle, copy and repr; hundreds of
# thousands of objects take fifty times the memory of their text.
_DEEPEST = 50
_MOST_CONTAINERS = 10_000

# The page's example has 0, the vendor's mobile SDK takes 200 as the only success.
_GOOD_CODES = (0, 200)

# A longer number is no code, and may be a card's.
_LONGEST_CODE = 10**9

_NO_HEADERS = httpx.Headers()

# Beyond the statuses that have a class of their own: the server gave up on our request, or came too early to it.
_TRANSIENT_STATUSES = frozenset({408, 425})

_ERRORS: dict[float, type[errors.APIError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.AuthenticationError,
    404: errors.NotFoundError,
    422: errors.BadRequestError,
    429: errors.RateLimitError,
}


def good_answer(response: httpx.Response, body: bytes | None) -> httpx.Response:
    """Return the answer if it is one the generated parser may see.

    Raises:
        APIError: The status, or the ``code`` in the body, tells of an error.
        InvalidResponseError: The status is good and the body is not the contract's.
    """
    envelope = None if body is None else _json_object(body)
    code = _first(envelope or {}, "code", "error_code")
    if not response.is_success:
        raise _api_error(response, envelope or {}, code)
    if body is None:
        problem = "it is larger than 1 MiB, and was not read to its end"
    elif envelope is None:
        problem = "it is no JSON object, or none with one plain meaning"
    elif type(code) not in (str, int, float):
        problem = "there is no code in it"
    elif code not in _GOOD_CODES:
        raise _api_error(response, envelope, code)
    elif response.status_code != HTTPStatus.OK:
        problem = "only HTTP 200 is in it"
    elif not isinstance(_first(envelope, "data"), dict) or not isinstance(envelope["data"].get("payment_token"), dict):
        problem = "there is no payment token in it"
    else:
        return cast("httpx.Response", _GoodAnswer(envelope))
    status = response.status_code
    raise errors.InvalidResponseError(
        f"The gateway's answer (HTTP {status}, {len(body or b'')} bytes) breaks the contract: {problem}."
    )


@attrs.frozen
class _GoodAnswer:
    """What the generated parser reads of an httpx.Response, with the very object that was looked at here."""

    envelope: dict[str, Any]
    status_code: int = HTTPStatus.OK
    content: bytes = b""
    headers: httpx.Headers = _NO_HEADERS

    def json(self) -> dict[str, Any]:
        return self.envelope


def _json_object(body: bytes) -> dict[str, Any] | None:
    """Return the body's JSON object; None where it is anything else, or has two meanings, or is nested too deep."""
    containers = body.count(b"[") + body.count(b"{")
    if containers > _MOST_CONTAINERS:
        return None
    try:
        # Not from the bytes: that would let half a pair of surrogates in.
        text = body.decode("utf-8-sig")
        content = json.loads(text, object_pairs_hook=_unambiguous, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None
    is_deep = containers > _DEEPEST and _is_deeper(content, _DEEPEST)
    return cast("dict[str, Any]", content) if isinstance(content, dict) and not is_deep else None


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("one name twice: which of the two states holds?")
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def _is_deeper(content: Any, levels: int) -> bool:
    if not isinstance(content, dict | list):
        return False
    inner = cast("Iterable[Any]", content.values() if isinstance(content, dict) else content)
    return levels == 0 or any(_is_deeper(value, levels - 1) for value in inner)


def _first(envelope: dict[str, Any], *names: str) -> Any:
    """Return the first of these fields that is there: current pages and older ones name them differently."""
    return next((envelope[name] for name in names if envelope.get(name) is not None), None)


def _api_error(response: httpx.Response, envelope: dict[str, Any], code: Any) -> errors.APIError:
    message = _first(envelope, "message", "error_message")
    if isinstance(code, str):
        code = errors.redact(code)
    elif type(code) not in (int, float) or abs(code) >= _LONGEST_CODE:
        code = None
    message = errors.redact(message) if isinstance(message, str) else None
    # In a good status the code of the body counts: some are HTTP's own numbers.
    status = code if response.is_success and isinstance(code, int | float) else response.status_code
    kind = errors.ServerError if 500 <= status <= 999 else _ERRORS.get(status, errors.APIError)  # noqa: PLR2004
    now = time.time()
    seconds = retry_after(response.headers.get("Retry-After"), date=response.headers.get("Date"), now=now)
    summary = [f"The gateway answered HTTP {response.status_code}"]
    summary += [f", code {code}"] if code is not None else []
    summary += [f": {message.rstrip('.')}." if message else "."]
    if response.is_redirect:
        summary += [" A redirect is not followed: the signature is for one origin alone. Check base_url."]
    elif kind is errors.RateLimitError and seconds is not None:
        summary += [f" It wants to be asked again in {seconds:g} s."]
    elif kind is not errors.APIError:
        summary += [f" {kind.advice}"]
    if kind is errors.AuthenticationError:
        difference = clock_difference(response.headers.get("Date"), now=now)
        if abs(difference) > CLOCK_TOLERANCE:
            way = "ahead of" if difference > 0 else "behind"
            summary += [
                f" The gateway's clock is {abs(difference) / 60:.0f} minutes {way} this machine's: set the clock."
            ]
    return kind(
        "".join(summary),
        is_transient=kind.is_transient or response.status_code in _TRANSIENT_STATUSES,
        status_code=response.status_code,
        code=code,
        message=message,
        retry_after=seconds,
    )
