r"""The signature scheme Wonder-RSA-SHA256, as pure functions and as an httpx.Auth.

::

    k1             = HMAC-SHA256(key = nonce, message = request time)
    k2             = HMAC-SHA256(key = k1, message = "Wonder-RSA-SHA256")
    content        = METHOD "\n" URI, and "\n" BODY unless the body is empty
    string to sign = hex(HMAC-SHA256(key = k2, message = content))
    Signature      = base64(RSASSA-PKCS1-v1_5-SHA256(private key, string to sign))

Source: the vendor's guides and PHP SDK. The tests compare with values computed by that SDK.
"""

import base64
import hmac
import re
import secrets
import time
import uuid
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from ._http.received import RawResponse
from ._http.response import CLOCK_TOLERANCE, http_date
from ._keys import key_or_signer, loaded_key
from ._redact import clears_locals
from .config import checked_app_id, checked_origin, origin_of
from .errors import ConfigurationError, InvalidSignatureError, SigningError
from .protocols import Signer

__all__ = ["SCHEME", "WonderAuth", "load_private_key", "sign", "string_to_sign", "verify", "verify_request"]

SCHEME = "Wonder-RSA-SHA256"
"""The name of the scheme: the last part of a credential."""

# Of the request time in a credential, which is UTC.
_TIME_FORMAT = "%Y%m%d%H%M%S"

_REJECTED = frozenset({401, 403})

# Yields headers, and gets the status and the Date header of the response.
Signatures: TypeAlias = Generator[dict[str, str], tuple[int, str | None], None]


def string_to_sign(credential: str, nonce: str, method: str, uri: str, body: bytes | None) -> str:
    """Return the string to sign: 64 lower-case hexadecimal digits.

    Args:
        credential: ``{app_id}/{request_time}/Wonder-RSA-SHA256``, the request time in UTC as ``YYYYMMDDHHMMSS``.
        nonce: 16 random alphanumeric characters, fresh for each request.
        method: The HTTP method, in either case.
        uri: The path with its query string, exactly as sent.
        body: The exact bytes sent; None and empty are the same.

    Raises:
        ValueError: The credential is not of this form.
    """
    _app_id, request_time, scheme = credential.split("/")
    if scheme != SCHEME:
        raise ValueError(f"the credential's scheme is not {SCHEME}")
    key = nonce.encode()
    for message in (request_time, scheme):
        key = hmac.digest(key, message.encode(), "sha256")
    content = f"{method.upper()}\n{uri}".encode() + (b"\n" + body if body else b"")
    return hmac.digest(key, content, "sha256").hex()


def sign(private_key: RSAPrivateKey, string_to_sign: str) -> str:
    """Return the value of the ``Signature`` header, in base64. The same input always gives the same signature."""
    return base64.b64encode(private_key.sign(string_to_sign.encode(), padding.PKCS1v15(), SHA256())).decode()


def verify(
    public_key: RSAPublicKey, signature: str, *, credential: str, nonce: str, method: str, uri: str, body: bytes | None
) -> bool:
    """Return whether the owner of the private key signed this request. A malformed argument also returns False.

    The arguments are those of `string_to_sign`.
    """
    try:
        expected = string_to_sign(credential, nonce, method, uri, body)
        public_key.verify(base64.b64decode(signature, validate=True), expected.encode(), padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


@clears_locals
def verify_request(
    public_key: RSAPublicKey,
    *,
    method: str,
    uri: str,
    headers: Mapping[str, str],
    body: bytes | None,
    tolerance: float = 1800.0,
) -> None:
    """Verify a request that the vendor signed, such as a webhook. Return only if it is genuine and recent.

    A replay within the tolerance passes. If that matters, remember the nonces. Source: the vendor's webhook guide,
    which documents webhooks for orders and transactions, signed with the vendor's own key.

    Args:
        public_key: The vendor's public key.
        method: The HTTP method.
        uri: The path with its query string, exactly as received.
        headers: The request's headers, with names in any case.
        body: The exact bytes received.
        tolerance: Seconds by which the time in ``Credential`` may differ from this machine's clock.

    Raises:
        ConfigurationError: ``public_key`` is not an RSA public key.
        InvalidSignatureError: A header is missing or malformed, the time is outside the tolerance, or the signature
            does not match.
    """
    if not isinstance(public_key, RSAPublicKey):
        raise ConfigurationError("public_key must be an RSAPublicKey: load the PEM with load_pem_public_key().")
    given = {name.lower(): value for name, value in headers.items()}
    credential, nonce, signature = (given.get(name, "") for name in ("credential", "nonce", "signature"))
    parts = re.fullmatch(rf"[!-.0-~]+/([0-9]{{14}})/{SCHEME}", credential)
    try:
        signed_at = datetime.strptime(parts[1] if parts else "", _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidSignatureError("The Credential header is missing or malformed.") from None
    if not abs(signed_at.timestamp() - time.time()) <= tolerance:  # so that NaN accepts no time
        raise InvalidSignatureError(f"The time in the Credential header is more than {tolerance:g} s off.")
    if not re.fullmatch("[A-Za-z0-9]{16}", nonce):
        raise InvalidSignatureError("The Nonce header is missing, or is not 16 alphanumeric characters.")
    if not verify(public_key, signature, credential=credential, nonce=nonce, method=method, uri=uri, body=body):
        problem = "The Signature header is missing, or does not match the request and the public key."
        raise InvalidSignatureError(problem)


@clears_locals
def load_private_key(key: str | bytes | Path | RSAPrivateKey, passphrase: str | bytes | None = None) -> RSAPrivateKey:
    r"""Return the RSA private key.

    Parsing and checking a key takes about 40 ms. Load each key once.

    Args:
        key: A PKCS#1 or PKCS#8 key, encrypted or not, as PEM, DER or the base64 of either, in text or bytes. Or the
            `pathlib.Path` of a file with one of them, or a key object, which is returned unchanged. A PEM may be on one
            line, have a literal ``\n`` for each line break, be in quotes, or have other text and certificates around
            it. A string is never read as a path.
        passphrase: The passphrase of an encrypted key; None if the key is not encrypted. If it is wrong, it is tried
            again without a line break at its end, and then without whitespace and quotes around it.

    Raises:
        ConfigurationError: This is not an RSA private key. The message says what is wrong and quotes nothing of the
            key.
    """
    return loaded_key(key, passphrase, "key=", "passphrase=")


class WonderAuth(httpx.Auth):
    """Signs the requests of an httpx client: pass it as the client's ``auth``.

    Each request gets a new nonce, the time, a new X-Request-ID and a signature over the exact bytes sent. If the
    gateway rejects a request (401, 403), and its clock differs from the signed time by more than 5 minutes, the request
    is signed again with the gateway's time. If that succeeds, later requests also use the gateway's time.

    Keep ``follow_redirects`` off in the httpx client. Otherwise httpx sends the signed headers to any host that a
    redirect points to.

    Args:
        app_id: The app id that the vendor gave you for your public key.
        private_key: Any unencrypted key that `load_private_key` takes, or a `Signer`.
        origin: The only scheme, host and port to sign for, such as ``https://gateway.wonder.today``.

    Raises:
        ConfigurationError: An argument is wrong, or a request is for a different origin.
    """

    requires_request_body = True

    @clears_locals
    def __init__(
        self, app_id: str, private_key: str | bytes | Path | RSAPrivateKey | Signer, *, origin: str | httpx.URL
    ) -> None:
        self._app_id = checked_app_id(app_id)
        self._private_key = key_or_signer(private_key)
        self._is_signer = not isinstance(self._private_key, RSAPrivateKey)
        self._origin = checked_origin(str(origin), "origin=")
        # Seconds by which the gateway's clock is ahead of ours. A float is set at once, so it needs no lock.
        self._clock_offset = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request, and sign it again if only its time was wrong. httpx calls this."""
        if origin_of(request.url) != self._origin:
            raise ConfigurationError(f"This request was not signed: its origin is not {self._origin}.")
        signatures = self.signatures(request.method, request.url.raw_path.decode("ascii"), request.content)
        signature: dict[str, str] | None = next(signatures)
        while signature:
            request.headers.update(signature)
            signature = next_signature(signatures, (yield request))

    def signatures(self, method: str, uri: str, body: bytes) -> Signatures:
        """Yield the headers that sign a request, for use with any HTTP library.

        After each response, send a tuple to the generator: the status, and the ``Date`` header or None. If only the
        time was wrong, the generator yields new headers. Otherwise it ends, and the response is final. It does not
        check the origin: send the headers to ``origin`` only.

        Args:
            method: The HTTP method.
            uri: The path with its query string, exactly as sent.
            body: The exact bytes sent.
        """
        signed_time = time.time() + self._clock_offset
        status, date = yield self._signature(signed_time, method, uri, body)
        gateway_time = http_date(date) if status in _REJECTED else None
        if gateway_time is not None and abs(gateway_time - signed_time) > CLOCK_TOLERANCE:
            offset = gateway_time - time.time()
            status, _ = yield self._signature(gateway_time, method, uri, body)
            # A request that is rejected again was not rejected for its time: do not keep a wrong Date.
            if status not in _REJECTED:
                self._clock_offset = offset

    def is_remote(self, response: RawResponse | None) -> bool:
        """Return whether a signer, which may take long, signs a first request, or another one after this response."""
        return self._is_signer and (response is None or response.status_code in _REJECTED)

    def _sign(self, text: str) -> str:
        if isinstance(self._private_key, RSAPrivateKey):
            return sign(self._private_key, text)
        try:
            return base64.b64encode(self._private_key.sign(text.encode())).decode()
        except Exception as error:  # a TypeError if the signer does not return bytes
            raise SigningError(f"The signer failed with {type(error).__name__}; the request was not sent.") from error

    def _signature(self, signed_time: float, method: str, uri: str, body: bytes) -> dict[str, str]:
        credential = f"{self._app_id}/{time.strftime(_TIME_FORMAT, time.gmtime(signed_time))}/{SCHEME}"
        random = secrets.token_bytes(24)  # one read of the system's secure source for both
        nonce = random[:8].hex()
        return {
            "Credential": credential,
            "Nonce": nonce,
            "Signature": self._sign(string_to_sign(credential, nonce, method, uri, body)),
            "X-Request-ID": str(uuid.UUID(bytes=random[8:], version=4)),
        }


def next_signature(signatures: Signatures, response: httpx.Response | RawResponse | None) -> dict[str, str] | None:
    """Return the headers that sign the first request, or another one if only its time was wrong; None if no other."""
    try:
        return signatures.send((response.status_code, response.headers.get("date"))) if response else next(signatures)
    except StopIteration:
        return None
