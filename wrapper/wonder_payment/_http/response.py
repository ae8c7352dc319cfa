"""What an HTTP response means: a payment token, an API error, or a broken contract. No I/O.

Headers are read leniently: one that cannot be read counts as absent.
"""

import json
import math
import re
import time
from codecs import BOM_UTF8
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, cast

import attrs

from wonder_payment import errors
from wonder_payment._redact import redact
from wonder_payment.models import CARD_FIELDS

from .received import RawResponse, decompressed

# Seconds. A smaller difference between the clocks is not why a signature was rejected: the gateway allows 30 minutes.
CLOCK_TOLERANCE = 300.0

# Seconds: time.sleep() fails above some bound of the system.
_MAX_SECONDS = 1e9

# A response has four objects. Thousands take fifty times the memory of their text, and hundreds of levels are too deep
# for pickle, copy and repr.
_MAX_CONTAINERS = 50

# The reference page's example has 0; other pages, the vendor's mobile SDK and the shop plug-in have 200.
GOOD_CODES = (0, 200, "0", "200")

# A longer number is no code, and may be a card number.
_MAX_CODE = 10**9

# Transient statuses without a class of their own: the server timed out reading the request, or it came too early.
_TRANSIENT_STATUSES = frozenset({408, 425})

PROXY_ADVICE = "check the user name and the password in the proxy's URL"

_PARAMETERS = "If the error is about the token, pass customer_uuid and verify_uuid: the gateway may require both."
_SIGNATURE = "Check the app id and the environment, and that the vendor has the public half of this private key."
_BLOCKED = "The app id may be restricted to other IP addresses, or a firewall may block this one."
_UNKNOWN = "Check that the token was created in this environment, for this app and this customer."
_ROUTE = "Check base_url, and whether a proxy or a firewall changes the request."
_REDIRECT = "Redirects are not followed, because the signature is for one origin. Check base_url."

# The class of an error and its advice, by the HTTP status or the code in the body. Some codes are HTTP statuses.
_ERRORS: dict[object, tuple[type[errors.APIError], str]] = {
    400: (errors.BadRequestError, _PARAMETERS),
    401: (errors.AuthenticationError, _SIGNATURE),
    403: (errors.AuthenticationError, f"{_SIGNATURE} {_BLOCKED}"),
    404: (errors.NotFoundError, f"{_UNKNOWN} Pass customer_uuid if you know it."),
    422: (errors.BadRequestError, _PARAMETERS),
    429: (errors.RateLimitError, "Send fewer requests."),
    **dict.fromkeys(range(500, 1000), (errors.ServerError, "Retry later.")),
}

# The advice for other statuses. Most of them come from a proxy: the gateway has no reason to send them, because the
# request always has the same form.
_ADVICE: dict[int, str] = {
    **dict.fromkeys(range(300, 400), _REDIRECT),
    **dict.fromkeys((405, 406, 411, 413, 414, 415, 431), _ROUTE),
    407: f"The request did not reach the gateway: {PROXY_ADVICE}.",
    **dict.fromkeys(_TRANSIENT_STATUSES, "Retry later."),
    451: "Access from this network is blocked for legal reasons. Ask the vendor.",
}

# The JSON types of the contract, which the generated parser does not check.
_REQUIRED = ("token", "token_type", "state")
_TOKEN = dict.fromkeys((*_REQUIRED, "error_code", "error_msg"), str) | {"default": bool, "credit_card": dict}
_CARD: dict[str, type] = dict.fromkeys(CARD_FIELDS, str)


@attrs.frozen
class CheckedResponse:
    """A good response, with the four attributes that the generated parser reads of an httpx.Response."""

    envelope: dict[str, Any] = attrs.field(repr=False)
    status_code, content, headers = HTTPStatus.OK, b"", None

    def json(self) -> dict[str, Any]:
        return self.envelope


def checked_response(response: RawResponse, *, token: str) -> CheckedResponse:
    """Return the response if the generated parser can read it and it is about this token.

    Args:
        response: What was received.
        token: The UUID that was sent, in lower case.

    Raises:
        APIError: The status, or the ``code`` in the body, means an error.
        InvalidResponseError: The status is good, but the body breaks the contract.
    """
    body, unread = decompressed(response)
    envelope = {} if unread else _json_object(body)
    name, code = deciding_code(envelope)
    status = response.status_code
    if not 200 <= status < 300 or (_is_code(code) and not is_good_code(name, code)):  # noqa: PLR2004
        raise _api_error(response, envelope, name, code, unread)
    problem = unread or _problem(envelope, code, status, token)
    if not problem:
        return CheckedResponse(envelope)
    size = "" if unread else f", {len(body)} bytes"
    text = f"The response (HTTP {status}{size}) breaks the contract: {problem}."
    raise errors.InvalidResponseError(text, status_code=status)


def _json_object(body: bytes) -> dict[str, Any]:
    """Return the body's JSON object; an empty one if it is anything else, ambiguous, or nested too deep."""
    if body.count(b"[") + body.count(b"{") > _MAX_CONTAINERS:
        return {}
    try:
        # json.loads() on bytes would accept half a surrogate pair.
        return _object(_JSON.decode(body.removeprefix(BOM_UTF8).decode()))
    except ValueError:
        return {}


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name occurs twice, so either value may be meant")
    return content


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not a number")
    return number


_JSON = json.JSONDecoder(object_pairs_hook=_unambiguous, parse_float=_finite, parse_constant=_finite)


def deciding_code(envelope: dict[str, Any]) -> tuple[str, Any]:
    """Return the name and the value of the code that says whether a response is good.

    ``error_code`` of older pages decides where there is no ``code``, and where only ``error_code`` means an error.
    """
    code, old = envelope.get("code"), envelope.get("error_code")
    contradicts = old not in (None, "") and not is_good_code("error_code", old)
    if contradicts and _is_code(code) and code not in ("", *GOOD_CODES):
        contradicts = False  # both mean an error
    return ("error_code", old) if code is None or contradicts else ("code", code)


def is_good_code(name: str, code: object) -> bool:
    """Return whether a code of this name means success; an empty one does on older pages only."""
    return _is_code(code) and (code in GOOD_CODES or (name == "error_code" and code == ""))


def _is_code(code: object) -> bool:
    return type(code) in (str, int, float)


def _problem(envelope: dict[str, Any], code: object, status: int, token: str) -> str | None:
    """Return how a response without an error breaks the contract, without quoting a value; None if it does not."""
    if not envelope:
        return "it is empty, or not one unambiguous JSON object"
    if not _is_code(code):
        return "`code` and `error_code` are missing, or the value is not text or a number"
    if status != HTTPStatus.OK:
        return "the contract defines only HTTP 200"
    fields = _object(_object(envelope.get("data")).get("payment_token"))
    if not fields:
        return "`data.payment_token` is missing"
    wrong = _wrong_field(fields, _TOKEN) or _wrong_field(_object(fields.get("credit_card")), _CARD)
    return "it is about a different token" if not wrong and fields["token"].lower() != token else wrong


def _object(value: object) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _wrong_field(fields: dict[str, Any], types: dict[str, type]) -> str | None:
    for name, kind in types.items():
        value = fields.get(name)
        if value is None and name in _REQUIRED:
            return f"`{name}` is missing"
        if value is not None and not isinstance(value, kind):
            return f"`{name}` is {type(value).__name__}, not {kind.__name__}"
    return None


def _api_error(response: RawResponse, envelope: dict[str, Any], name: str, code: Any, unread: str) -> errors.APIError:
    status = response.status_code
    number = int(code) if isinstance(code, str) and re.fullmatch("[0-9]{3}", code) else code
    decisive = number if 200 <= status < 300 else status  # noqa: PLR2004
    kind, advice = _ERRORS.get(decisive) or (errors.APIError, _ADVICE.get(status, ""))
    if isinstance(code, str):
        code = redact(code) or None
    elif type(code) not in (int, float) or abs(code) >= _MAX_CODE:
        code = None
    # The text that belongs to the code: a good `code` beside a bad `error_code` has a message such as "success".
    names = ("message", "error_message") if name == "code" else ("error_message", "message")
    message = envelope.get(names[0]) or envelope.get(names[1])
    message = redact(message) if isinstance(message, str) else None
    now, date = time.time(), response.headers.get("date")
    seconds = retry_after(response.headers.get("retry-after"), date=date, now=now)
    if kind is errors.RateLimitError and seconds is not None:
        advice = f"Retry after {seconds:g} s."
    elif code == "E000002":  # the one error code that the vendor's guides have
        advice = "Check the app id, and that no proxy changes the Credential header."
    sender = "A proxy" if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else "The gateway"
    summary = f"{sender} returned HTTP {status}" + (f", code {code}" if code is not None else "")
    summary += f": {message.rstrip('.')}." if message else "."
    summary += advice and f" {advice}"
    ahead = (http_date(date) or now) - now
    if kind is errors.AuthenticationError and abs(ahead) > CLOCK_TOLERANCE:
        way = "ahead of" if ahead > 0 else "behind"
        summary += f" The gateway's clock is {abs(ahead) / 60:.0f} minutes {way} this machine's. Set the clock."
    if unread:
        summary += f" The reason is unknown: {unread}."
    is_transient = kind.is_transient or status in _TRANSIENT_STATUSES
    return kind(summary, status_code=status, code=code, message=message, retry_after=seconds, is_transient=is_transient)


def http_date(value: str | None) -> float | None:
    """Return an HTTP date as Unix time (UTC); None if there is none or it cannot be read."""
    try:
        date = parsedate_to_datetime(value or "")
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def retry_after(value: str | None, *, date: str | None, now: float) -> float | None:
    """Return the seconds of a ``Retry-After``, from 0 to a billion; None if there is none or it cannot be read.

    Args:
        value: The ``Retry-After`` header: seconds, or an HTTP date.
        date: The ``Date`` header of the same response, to count from: the two clocks may differ.
        now: Our time (Unix time, UTC), to count from if the response has no date.
    """
    seconds = (value or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", seconds):
        return min(float(seconds), _MAX_SECONDS)
    until = http_date(value)
    return None if until is None else min(max(until - (http_date(date) or now), 0.0), _MAX_SECONDS)
