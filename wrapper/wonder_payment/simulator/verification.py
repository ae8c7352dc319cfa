"""How a simulated gateway judges a request's signature, and how it explains its verdict."""

from __future__ import annotations

import math
import re
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, TypedDict

import attrs

from wonder_payment.signing import SCHEME, string_to_sign, verify

from .diagnosis import TIME_FORMAT, derive, diagnose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = ["Refusal", "Verdict", "Verifier"]

# Source: the vendor's guides.
_TIME_WINDOW = 30 * 60
_WIDEST_TIME_ZONE = 14.5 * 3600
_MINUTE = 60
_CREDENTIAL_PARTS = 3
_CREDENTIAL = re.compile(rf"([^/\s]+)/(\d{{14}})/{SCHEME}", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9]{16}")

# What is kept of a body: a good one has some 70 bytes.
_MOST_BYTES = 4096


@attrs.frozen
class Refusal:
    """Why a request is refused, in the error shape of the gateway.

    Attributes:
        status: The HTTP status.
        code: The error code. All but ``E000002`` are the simulator's own and begin with ``SIM_``.
        message: What is wrong, and where to look.
    """

    status: int
    code: str
    message: str


@attrs.frozen(kw_only=True)
class Verdict:
    """What the gateway made of a request's signature.

    Attributes:
        refusal: Why it is refused; None when it is good.
        credential: The Credential header, as it came.
        nonce: The Nonce header, as it came.
        method: The HTTP method, as it was hashed.
        uri: The path with its query string, as it came and was hashed.
        body: The body that came and was hashed; of a long one the first 4,096 bytes.
        body_length: How many bytes the whole body has.
        body_sha256: The whole body's SHA-256, in hexadecimal.
        hmacs: The results of the two HMACs before the one over the content, in hexadecimal; no secret goes into them.
            None where the headers were not enough.
        string_to_sign: What the gateway computed from this request; None where the headers were not enough.
        seconds_off: By how many seconds the request's time is ahead of the gateway's, infinite for a time that no
            calendar has; None where there is none.
        hint: What to change in a request that is refused, as far as it can be told from here.
    """

    refusal: Refusal | None
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
    """Judges signatures, and remembers the nonces it saw.

    Args:
        app_id: The only app it knows.
        public_key: What that app's signatures are checked with.
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
            uri: The path with its query string, as it came.
            headers: The headers, looked up in any case.
            body: The bytes that came.
            now: The gateway's time (Unix time, UTC).
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
        refusal = self._refusal(
            app_id=parts[1] if parts else None,
            seconds_off=seconds_off,
            nonce=nonce,
            is_signed=verify(self._public_key, signature, **signed),
            is_new=self._is_new(nonce, now),
        )
        hint = None
        if refusal and refusal.code == "SIM_SIGNATURE":
            hint = diagnose(self._public_key, signature, **signed, host=host)
        elif refusal:
            hint = self._hint(refusal.code, credential, nonce, seconds_off)
        return Verdict(
            refusal=refusal,
            credential=credential,
            nonce=nonce,
            method=method,
            uri=uri,
            body=body[:_MOST_BYTES],
            body_length=len(body),
            body_sha256=sha256(body).hexdigest(),
            hmacs=hmacs,
            string_to_sign=computed,
            seconds_off=seconds_off,
            hint=hint,
        )

    def _refusal(
        self, *, app_id: str | None, seconds_off: float | None, nonce: str, is_signed: bool, is_new: bool
    ) -> Refusal | None:
        if seconds_off is None:
            return Refusal(400, "E000002", "Invalid Credential Format.")
        checks = (
            (app_id == self.app_id, 401, "SIM_APP_ID", "The app id in Credential is not this gateway's."),
            (
                abs(seconds_off) <= _TIME_WINDOW,
                401,
                "SIM_TIME",
                f"The time in Credential is {round(seconds_off):+d} s off the gateway's."
                if math.isfinite(seconds_off)
                else "The time in Credential is in no calendar.",
            ),
            (_NONCE.fullmatch(nonce), 400, "SIM_NONCE_FORMAT", "Nonce is not 16 alphanumeric characters."),
            (is_new, 401, "SIM_NONCE_USED", "Nonce was used before."),
            (is_signed, 401, "SIM_SIGNATURE", "Signature does not match: compare the string to sign."),
        )
        return next((Refusal(status, code, message) for good, status, code, message in checks if not good), None)

    def _hint(self, code: str, credential: str, nonce: str, seconds_off: float | None) -> str | None:
        if code == "E000002":
            return _credential_hint(credential)
        if code == "SIM_APP_ID":
            return f"Wanted is {self.app_id}."
        if code == "SIM_NONCE_FORMAT":
            return f"It has {len(nonce)} characters." if nonce else "There is no Nonce header."
        if code == "SIM_NONCE_USED":
            return "Each attempt needs a new one, a retry, too."
        if code == "SIM_TIME" and seconds_off and _is_time_zone(seconds_off):
            return "That is a time zone's difference: UTC is wanted, not local time."
        return None

    def _is_new(self, nonce: str, now: float) -> bool:
        with self._lock:
            # An older one would be refused for its time.
            while self._seen and next(iter(self._seen.values())) < now - 2 * _TIME_WINDOW:
                self._seen.popitem(last=False)
            is_new = nonce not in self._seen
            self._seen.setdefault(nonce, now)
            return is_new


def _unix_time(request_time: str) -> float:
    try:
        return datetime.strptime(request_time, TIME_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return math.inf


def _credential_hint(credential: str) -> str:
    if not credential:
        return "There is no Credential header."
    if any(character.isspace() for character in credential):
        return "There is white space in it."
    parts = credential.split("/")
    if len(parts) != _CREDENTIAL_PARTS:
        return f"It has {len(parts)} parts, separated by a /; wanted are {_CREDENTIAL_PARTS}."
    if parts[2] != SCHEME:
        return f"Its last part is not {SCHEME}."
    if not parts[0]:
        return "The app id is missing."
    return "The time in it is not 14 digits, YYYYMMDDHHMMSS."


def _is_time_zone(seconds_off: float) -> bool:
    """Tell whether a difference is, but for a minute, one that is between two time zones."""
    quarters = seconds_off / 900
    return abs(seconds_off) < _WIDEST_TIME_ZONE and abs(quarters - round(quarters)) * 900 < _MINUTE
