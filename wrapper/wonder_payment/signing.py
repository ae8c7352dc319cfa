r"""The signature scheme Wonder-RSA-SHA256, as pure functions and as an httpx.Auth.

::

    k1             = HMAC-SHA256(key = nonce, message = request time)
    k2             = HMAC-SHA256(key = k1, message = "Wonder-RSA-SHA256")
    content        = METHOD "\n" URI, and "\n" BODY unless the body is empty
    string to sign = hex(HMAC-SHA256(key = k2, message = content))
    Signature      = base64(RSASSA-PKCS1-v1_5-SHA256(private key, string to sign))

Source: the vendor's guides and PHP SDK. The tests compare with values computed by that SDK.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import string
import time
import uuid
from typing import TYPE_CHECKING, cast

import httpx
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .config import checked_app_id, checked_origin, plain_text
from .errors import SEALED, ConfigurationError
from .headers import clock_difference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = ["SCHEME", "WonderAuth", "load_private_key", "sign", "string_to_sign", "verify"]

SCHEME = "Wonder-RSA-SHA256"
"""The name of the scheme: the last part of a credential."""

_NONCE_LENGTH = 16
_NONCE_ALPHABET = (string.ascii_letters + string.digits).encode()
# Each of the 62 characters for as many of the 256 bytes; the 8 bytes left over would favour some, and are taken out.
_NONCE_TABLE = (_NONCE_ALPHABET * 5)[:256]
_NONCE_LEFT_OVER = bytes(range(256 - 256 % len(_NONCE_ALPHABET), 256))
_TIME_FORMAT = "%Y%m%d%H%M%S"

# Below this a difference between the clocks is not why a signature was refused: the gateway allows 30 minutes.
CLOCK_TOLERANCE = 300.0

_REFUSED = frozenset({401, 403})


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
    signature = private_key.sign(string_to_sign.encode(), padding.PKCS1v15(), SHA256())
    return base64.b64encode(signature).decode()


def verify(
    public_key: RSAPublicKey,
    signature: str,
    *,
    credential: str,
    nonce: str,
    method: str,
    uri: str,
    body: bytes | None,
) -> bool:
    """Tell whether ``signature`` is what the owner of the key's private half sends with this request.

    The arguments are those of `string_to_sign`; nothing is raised for a malformed one, the answer is False.
    """
    try:
        expected = string_to_sign(credential, nonce, method, uri, body)
        public_key.verify(base64.b64decode(signature, validate=True), expected.encode(), padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


@SEALED
def load_private_key(key: str | bytes | RSAPrivateKey, passphrase: str | bytes | None = None) -> RSAPrivateKey:
    """Return the RSA private key in a PEM.

    Parsing and checking takes some 40 ms: do it once.

    Args:
        key: A PEM, PKCS#1 or PKCS#8, encrypted or not; or the key itself, which is returned as it is.
        passphrase: What the PEM is encrypted with; None when it is not.

    Raises:
        ConfigurationError: It is anything else. The message says what was wrong and quotes nothing of it.
    """
    pem, password = _bytes(key), _bytes(passphrase)
    if passphrase is not None and password is None:
        raise ConfigurationError(f"The passphrase must be text or bytes, not {type(passphrase).__name__}.")
    if issubclass(type(key), RSAPrivateKey):
        return cast("RSAPrivateKey", key)
    if pem is None:
        raise ConfigurationError(f"The private key must be a PEM or an RSAPrivateKey, not {type(key).__name__}.")
    problem = _problem_with(pem)
    loaded = None
    if problem is None:
        try:
            loaded = load_pem_private_key(pem.strip(), password or None)
        except TypeError:
            problem = "is not encrypted: give no passphrase" if password else "is encrypted: give its passphrase"
        except (ValueError, UnsupportedAlgorithm):
            problem = "can't be read: " + ("the passphrase is wrong, or " if password else "") + "it is damaged"
    if isinstance(loaded, RSAPrivateKey):
        return loaded
    # Raised out here so that the library's own error, which may quote its input, does not come along as the context.
    problem = problem or f"is not RSA but {type(loaded).__name__.removesuffix('PrivateKey')}"
    made_by = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"
    raise ConfigurationError(f"The private key {problem}. Wanted is what `{made_by}` makes.")


def _bytes(value: object) -> bytes | None:
    text = plain_text(value)
    if text is not None:
        return text.encode(errors="replace")
    return cast("bytes", value) if issubclass(type(value), bytes) else None


def _problem_with(pem: bytes) -> str | None:
    """Tell what keeps a text from being the PEM of a private key, as far as its first line shows."""
    if b"-----BEGIN " not in pem:
        return "is no PEM: it has no line `-----BEGIN … PRIVATE KEY-----`"
    for label, problem in {
        b"PUBLIC KEY": "is a public key: give its private half",
        b"CERTIFICATE": "is a certificate: give the private key it belongs to",
        b"OPENSSH PRIVATE KEY": "is in OpenSSH's own format: convert it with `ssh-keygen -p -m PEM`",
    }.items():
        if label + b"-----" in pem.split(b"-----BEGIN ", 1)[1].split(b"\n", 1)[0]:
            return problem
    return None


def new_nonce() -> str:
    """Return 16 random alphanumeric characters from the system's secure source."""
    # Of three times as many bytes, never so many are taken out that too few are left.
    characters = secrets.token_bytes(3 * _NONCE_LENGTH).translate(_NONCE_TABLE, _NONCE_LEFT_OVER)
    return characters[:_NONCE_LENGTH].decode()


class WonderAuth(httpx.Auth):
    """Signs each request, for any httpx client.

    Every attempt gets a new nonce, the time, a new X-Request-ID and its signature, over the exact bytes sent. When the
    gateway refuses a request (401, 403) and its clock is more than 5 minutes off the time that was signed, the request
    is signed once more with the gateway's time, and so are the ones after it.

    Leave ``follow_redirects`` off in a client that uses it: httpx follows below its auth, and takes the signed headers
    along to wherever the answer points.

    Args:
        app_id: What the vendor answered when the public key was uploaded.
        private_key: A PEM that is not encrypted, or the key itself.
        origin: The only scheme, host and port to sign for, such as ``https://gateway.wonder.today``.

    Raises:
        ConfigurationError: An argument is wrong; later, the request is for another origin.
    """

    requires_request_body = True

    def __init__(self, app_id: str, private_key: str | bytes | RSAPrivateKey, *, origin: str | httpx.URL) -> None:
        self._app_id = checked_app_id(app_id)
        self._private_key = load_private_key(private_key)
        self._origin = _origin(httpx.URL(checked_origin(str(origin))))
        # Seconds the gateway's clock is ahead of ours. One float, set at once: no lock needed.
        self._clock_offset = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign, and sign once more when only the clock was wrong. Called by httpx."""
        signed_time = time.time() + self._clock_offset
        self._sign(request, signed_time)
        response = yield request
        if response.status_code in _REFUSED:
            difference = clock_difference(response.headers.get("Date"), now=signed_time)
            if abs(difference) > CLOCK_TOLERANCE:
                gateway_time = signed_time + difference
                offset = gateway_time - time.time()
                self._sign(request, gateway_time)
                # httpx reads a refused answer to its end before it goes on, whatever its size and its pace.
                response.stream = _Unread(response.stream)
                response = yield request
                # What is refused again was not refused for its time: somebody else's Date is not to be kept.
                if response.status_code not in _REFUSED:
                    self._clock_offset = offset

    def _sign(self, request: httpx.Request, signed_time: float) -> None:
        if _origin(request.url) != self._origin:
            raise ConfigurationError("This request is for another origin than the one to sign for; it was not signed.")
        credential = f"{self._app_id}/{time.strftime(_TIME_FORMAT, time.gmtime(signed_time))}/{SCHEME}"
        nonce = new_nonce()
        digest = string_to_sign(
            credential, nonce, request.method, request.url.raw_path.decode("ascii"), request.content
        )
        request.headers["Credential"] = credential
        request.headers["Nonce"] = nonce
        request.headers["Signature"] = sign(self._private_key, digest)
        request.headers["X-Request-ID"] = str(uuid.uuid4())


class _Unread(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of an answer that nobody reads: empty, and closed like the one it stands for."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        nothing: tuple[bytes, ...] = ()
        for chunk in nothing:
            yield chunk

    def close(self) -> None:
        if isinstance(self._stream, httpx.SyncByteStream):
            self._stream.close()

    async def aclose(self) -> None:
        if isinstance(self._stream, httpx.AsyncByteStream):
            await self._stream.aclose()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = {"http": 80, "https": 443}.get(url.scheme) if url.port is None else url.port
    return url.scheme, url.host, port
