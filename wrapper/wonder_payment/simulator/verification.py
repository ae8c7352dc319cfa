"""How a simulated gateway judges a request's signature, and how it explains its verdict."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from wonder_payment.signing import SCHEME, string_to_sign, verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = ["Refusal", "Verdict", "Verifier"]

# Source: the vendor's guides.
_TIME_WINDOW = 30 * 60
_CREDENTIAL = re.compile(rf"([^/\s]+)/(\d{{14}})/{SCHEME}", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9]{16}")


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
        string_to_sign: What the gateway computed from this request; None where the headers were not enough.
        seconds_off: By how many seconds the request's time is ahead of the gateway's; None where it can't be read.
    """

    refusal: Refusal | None
    credential: str
    nonce: str
    string_to_sign: str | None = None
    seconds_off: float | None = None


class Verifier:
    """Judges signatures, and remembers the nonces it saw.

    Args:
        app_id: The only app it knows.
        public_key: What that app's signatures are checked with.
    """

    def __init__(self, app_id: str, public_key: RSAPublicKey) -> None:
        self._app_id = app_id
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
        parts = _CREDENTIAL.fullmatch(credential)
        computed, seconds_off = None, None
        if parts:
            computed = string_to_sign(credential, nonce, method, uri, body)
            seconds_off = _unix_time(parts[2]) - now
        refusal = self._refusal(
            app_id=parts[1] if parts else None,
            seconds_off=seconds_off,
            nonce=nonce,
            is_signed=verify(
                self._public_key,
                headers.get("Signature", ""),
                credential=credential,
                nonce=nonce,
                method=method,
                uri=uri,
                body=body,
            ),
            is_new=self._is_new(nonce, now),
        )
        return Verdict(
            refusal=refusal, credential=credential, nonce=nonce, string_to_sign=computed, seconds_off=seconds_off
        )

    def _refusal(
        self, *, app_id: str | None, seconds_off: float | None, nonce: str, is_signed: bool, is_new: bool
    ) -> Refusal | None:
        if seconds_off is None:
            return Refusal(400, "E000002", "Invalid Credential Format.")
        checks = (
            (app_id == self._app_id, 401, "SIM_APP_ID", "The app id in Credential is not this gateway's."),
            (
                abs(seconds_off) <= _TIME_WINDOW,
                401,
                "SIM_TIME",
                f"The time in Credential is {seconds_off:+.0f} s off the gateway's.",
            ),
            (_NONCE.fullmatch(nonce), 400, "SIM_NONCE_FORMAT", "Nonce is not 16 alphanumeric characters."),
            (is_new, 401, "SIM_NONCE_USED", "Nonce was used before."),
            (is_signed, 401, "SIM_SIGNATURE", "Signature does not match: compare the string to sign."),
        )
        return next((Refusal(status, code, message) for good, status, code, message in checks if not good), None)

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
        return datetime.strptime(request_time, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return float("inf")
