"""How the simulator verifies a request's signature, and how it explains the result."""

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TypedDict

import attrs
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from wonder_payment.signing import SCHEME, string_to_sign, verify

from .diagnosis import TIME_FORMAT, derive, diagnose

__all__ = ["Rejection", "Verdict", "Verifier", "clock_difference"]

# Seconds. Source: the vendor's guides.
_TIME_WINDOW = 30 * 60
_MAX_TIME_ZONE = 14.5 * 3600
_MINUTE = 60
_CREDENTIAL_PARTS = 3
_CREDENTIAL = re.compile(rf"([^/\s]+)/(\d{{14}})/{SCHEME}", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9]{16}")

# How much of a body is kept: a good one has some 70 bytes.
_MAX_BODY = 4096


@attrs.frozen
class Rejection:
    """Why a request was rejected, in the gateway's error shape.

    Attributes:
        status: The HTTP status.
        code: The error code. ``E000002`` is the vendor's (source: its guides); the simulator's own begin with ``SIM_``.
        message: What is wrong.
    """

    status: int
    code: str
    message: str


@attrs.frozen(kw_only=True)
class Verdict:
    """The result of verifying a request's signature.

    Attributes:
        rejection: Why the request was rejected; None if the signature is good.
        credential: The Credential header, as received.
        nonce: The Nonce header, as received.
        method: The HTTP method, as hashed.
        uri: The path with its query string, as received and hashed.
        body: The body, as received and hashed; its first 4,096 bytes if it is longer.
        body_length: The length of the whole body in bytes.
        body_sha256: The SHA-256 of the whole body, in hexadecimal.
        hmacs: The results of the two HMACs before the one over the content, in hexadecimal. They depend on no secret.
            None if the Credential header cannot be read.
        string_to_sign: The string to sign that the simulator computed from this request; None if the Credential header
            cannot be read.
        seconds_off: Seconds by which the request's time is ahead of the simulator's clock. It is infinite for a time
            that does not exist, and None if the Credential header cannot be read.
        hint: What to change in a rejected request; None if the simulator cannot tell.
    """

    rejection: Rejection | None
    credential: str
    nonce: str
    method: str
    uri: str
    body: bytes
    body_length: int
    body_sha256: str
    hmacs: tuple[str, str] | None = None
    string_to_sign: str | None = None
    seconds_off: float | None = None
    hint: str | None = None


class _Signed(TypedDict):
    credential: str
    nonce: str
    method: str
    uri: str
    body: bytes


class Verifier:
    """Verifies signatures, and remembers the nonces it has seen.

    Args:
        app_id: The only app id that is accepted.
        public_key: The key that the app's signatures are verified with.
    """

    def __init__(self, app_id: str, public_key: RSAPublicKey) -> None:
        self.app_id = app_id
        self._public_key = public_key
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def judge(self, method: str, uri: str, headers: Mapping[str, str], body: bytes, *, now: float) -> Verdict:
        """Return the verdict on one request.

        Args:
            method: The HTTP method.
            uri: The path with its query string, as received.
            headers: The headers; a real request's are case-insensitive.
            body: The bytes received.
            now: The simulator's time (Unix time, UTC).
        """
        credential, nonce = headers.get("Credential", ""), headers.get("Nonce", "")
        signature, host = headers.get("Signature", ""), headers.get("Host", "")
        parts = _CREDENTIAL.fullmatch(credential)
        computed, hmacs, seconds_off = None, None, None
        if parts:
            computed = string_to_sign(credential, nonce, method, uri, body)
            first, second = derive(nonce, parts[2])
            hmacs = first.hex(), second.hex()
            seconds_off = _unix_time(parts[2]) - now
        signed: _Signed = {"credential": credential, "nonce": nonce, "method": method, "uri": uri, "body": body}
        rejection = self._rejection(
            app_id=parts[1] if parts else None,
            seconds_off=seconds_off,
            nonce=nonce,
            is_signed=verify(self._public_key, signature, **signed),
            is_new=self._is_new(nonce, now),
        )
        hint = None
        if rejection and rejection.code == "SIM_SIGNATURE":
            hint = diagnose(self._public_key, signature, **signed, host=host)
        elif rejection:
            hint = self._hint(rejection.code, credential, nonce, seconds_off)
        return Verdict(
            rejection=rejection,
            credential=credential,
            nonce=nonce,
            method=method,
            uri=uri,
            body=body[:_MAX_BODY],
            body_length=len(body),
            body_sha256=sha256(body).hexdigest(),
            hmacs=hmacs,
            string_to_sign=computed,
            seconds_off=seconds_off,
            hint=hint,
        )

    def _rejection(
        self, *, app_id: str | None, seconds_off: float | None, nonce: str, is_signed: bool, is_new: bool
    ) -> Rejection | None:
        if seconds_off is None:
            return Rejection(400, "E000002", "Invalid Credential Format.")
        checks = (
            (app_id == self.app_id, 401, "SIM_APP_ID", "The app id in Credential is not the simulator's."),
            (
                abs(seconds_off) <= _TIME_WINDOW,
                401,
                "SIM_TIME",
                f"The time in Credential is {clock_difference(seconds_off)} the simulator's clock."
                if math.isfinite(seconds_off)
                else "The time in Credential does not exist.",
            ),
            (_NONCE.fullmatch(nonce), 400, "SIM_NONCE_FORMAT", "Nonce is not 16 alphanumeric characters."),
            (is_new, 401, "SIM_NONCE_USED", "Nonce was used before."),
            (is_signed, 401, "SIM_SIGNATURE", "Signature does not match: compare the string to sign."),
        )
        return next((Rejection(status, code, message) for good, status, code, message in checks if not good), None)

    def _hint(self, code: str, credential: str, nonce: str, seconds_off: float | None) -> str | None:
        if code == "E000002":
            return _credential_hint(credential)
        if code == "SIM_APP_ID":
            return f"Expected {self.app_id}."
        if code == "SIM_NONCE_FORMAT":
            return f"It has {len(nonce)} characters." if nonce else "There is no Nonce header."
        if code == "SIM_NONCE_USED":
            return "Every attempt needs its own nonce, retries included."
        if code == "SIM_TIME" and seconds_off and _is_time_zone(seconds_off):
            return "The difference is that of a time zone: send UTC, not local time."
        return None

    def _is_new(self, nonce: str, now: float) -> bool:
        with self._lock:
            # A request with an older nonce is rejected because of its time.
            while self._seen and next(iter(self._seen.values())) < now - 2 * _TIME_WINDOW:
                self._seen.popitem(last=False)
            is_new = nonce not in self._seen
            self._seen.setdefault(nonce, now)
            return is_new


def clock_difference(seconds: float) -> str:
    """Return by how much one clock is ahead of another, to be followed by the name of the other.

    Args:
        seconds: How far the one is ahead of the other.
    """
    # A request's time has whole seconds: round up, so that the difference fits the two times as the page shows them.
    whole = timedelta(seconds=abs(math.ceil(seconds)))
    if not whole:
        return "the same as"
    spelled = f" ({whole})" if whole >= timedelta(minutes=1) else ""
    return f"{whole.total_seconds():.0f} s{spelled} {'ahead of' if seconds > 0 else 'behind'}"


def _unix_time(request_time: str) -> float:
    try:
        return datetime.strptime(request_time, TIME_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return math.inf


def _credential_hint(credential: str) -> str:
    if not credential:
        return "There is no Credential header."
    if any(character.isspace() for character in credential):
        return "It contains white space."
    parts = credential.split("/")
    if len(parts) != _CREDENTIAL_PARTS:
        return f"It has {len(parts)} parts separated by /; expected {_CREDENTIAL_PARTS}."
    if parts[2] != SCHEME:
        return f"Its last part is not {SCHEME}."
    if not parts[0]:
        return "The app id is missing."
    return "The time in it is not 14 digits (YYYYMMDDHHMMSS)."


def _is_time_zone(seconds_off: float) -> bool:
    """Return whether a difference is that between two time zones, give or take a minute."""
    quarters = seconds_off / 900
    return abs(seconds_off) < _MAX_TIME_ZONE and abs(quarters - round(quarters)) * 900 < _MINUTE
