"""Why a signature does not match: an RSA signature reveals what was signed, so common mistakes can be named."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import product
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from wonder_payment.signing import SCHEME

__all__ = ["TIME_FORMAT", "derive", "diagnose"]

# The time in Credential is UTC. Source: the vendor's guides.
TIME_FORMAT = "%Y%m%d%H%M%S"

# The prefix of a SHA-256 in PKCS #1 v1.5. Source: RFC 8017, section 9.2, note 1.
_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


def derive(nonce: str, request_time: str) -> tuple[bytes, bytes]:
    """Return the results of the two HMACs before the one over the content.

    They depend on no secret: both inputs are in the request's headers.
    """
    first = _hmac(nonce.encode(), request_time.encode())
    return first, _hmac(first, SCHEME.encode())


def diagnose(
    public_key: RSAPublicKey,
    signature: str,
    *,
    credential: str,
    nonce: str,
    method: str,
    uri: str,
    body: bytes,
    host: str,
) -> str:
    """Return what is wrong with a signature that does not match, without quoting it.

    Args:
        public_key: The key that it should match.
        signature: The Signature header, as received.
        credential: The Credential header, which must be well-formed.
        nonce: The Nonce header.
        method: The HTTP method.
        uri: The path with its query string.
        body: The bytes received.
        host: The Host header, to recognise a signature over a whole URL.
    """
    first, second = derive(nonce, credential.split("/")[1])
    right = _hmac(second, _content(method, uri, body)).hex().encode()
    try:
        signed = _digest_in(signature, public_key, right)
    except ValueError as error:
        return str(error)
    for (key_name, key), (content_name, content) in product(
        _keys(nonce, credential, first, second), _contents(method, uri, body, host)
    ):
        digest = _hmac(key, content)
        for encoding_name, encode in _ENCODINGS:
            if sha256(encode(digest)).digest() == signed:
                mistakes = [name for name in (key_name, content_name, encoding_name) if name]
                return "The private key is right, but " + ", and ".join(mistakes) + "."
    return (
        "The private key is right, but a different string was signed. Compare step by step. "
        f"SHA-256 of the signed string: {signed.hex()}; of the expected string: {sha256(right).hexdigest()}."
    )


def _digest_in(signature: str, public_key: RSAPublicKey, right: bytes) -> bytes:
    """Return the SHA-256 of the string that was signed.

    Raises:
        ValueError: There is none in the signature; the message says why.
    """
    if not signature:
        raise ValueError("There is no Signature header.")
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        raise ValueError("Signature is not base64 (standard alphabet, padded, on one line).") from None
    if len(raw) != public_key.key_size // 8:
        raise ValueError(
            f"Signature has {len(raw)} bytes, but the simulator's key makes {public_key.key_size // 8}: "
            "it was made with another private key, encoded twice, or truncated."
        )
    try:
        padded = public_key.recover_data_from_signature(raw, padding.PKCS1v15(), None)
    except InvalidSignature:
        if _is_pss(public_key, raw, right):
            problem = "The private key and the string to sign are right, but the padding is PSS: use PKCS #1 v1.5."
        else:
            problem = "Signature was made with another private key, or with a padding other than PKCS #1 v1.5."
        raise ValueError(problem) from None
    if not padded.startswith(_SHA256_PREFIX):
        raise ValueError("The private key is right, but the hash is not SHA-256: use RSA with SHA-256.")
    return padded.removeprefix(_SHA256_PREFIX)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _content(method: str, uri: str, body: bytes, separator: bytes = b"\n") -> bytes:
    return separator.join([method.encode(), uri.encode(), *([body] if body else [])])


# The first row of each of these tables is correct, and so has no name.

_ENCODINGS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("", lambda digest: digest.hex().encode()),
    ("the 32 bytes were signed, not their 64 hexadecimal digits", lambda digest: digest),
    ("the string to sign is upper case", lambda digest: digest.hex().upper().encode()),
    ("the string to sign ends with a line break", lambda digest: digest.hex().encode() + b"\n"),
    ("the string to sign is base64, not hexadecimal", base64.b64encode),
    (
        "the string to sign was hashed before signing, which hashes it again",
        lambda digest: sha256(digest.hex().encode()).digest(),
    ),
    (
        "the string to sign was hashed to hexadecimal digits before signing",
        lambda digest: sha256(digest.hex().encode()).hexdigest().encode(),
    ),
)


def _keys(nonce: str, credential: str, first: bytes, second: bytes) -> list[tuple[str, bytes]]:
    request_time, scheme = credential.split("/")[1].encode(), SCHEME.encode()
    from_hex = _hmac(first.hex().encode(), scheme)
    keys = [
        ("", second),
        ("the result of the first HMAC went into the second as hexadecimal digits, not as bytes", from_hex),
        (
            "the result of the second HMAC went into the third as hexadecimal digits, not as bytes",
            second.hex().encode(),
        ),
        (
            "the results of the first and the second HMAC were used as hexadecimal digits, not as bytes",
            from_hex.hex().encode(),
        ),
        (
            "key and message are swapped in the first HMAC: the nonce is its key",
            _hmac(_hmac(request_time, nonce.encode()), scheme),
        ),
        ("key and message are swapped in the second HMAC: the scheme is its message", _hmac(scheme, first)),
        ("the second HMAC, over the scheme, is missing", first),
        (
            "the message of the first HMAC was the whole Credential, not the time in it",
            _hmac(_hmac(nonce.encode(), credential.encode()), scheme),
        ),
    ]
    # A client that reads the clock twice, for Credential and for the HMAC, sometimes signs another second.
    for seconds in (-1, 1):
        other = datetime.strptime(request_time.decode(), TIME_FORMAT).replace(tzinfo=UTC) + timedelta(seconds=seconds)
        name = f"the signed time differs from the one in Credential by {seconds:+} s: read the clock once"
        keys.append((name, derive(nonce, other.strftime(TIME_FORMAT))[1]))
    return keys


def _contents(method: str, uri: str, body: bytes, host: str) -> list[tuple[str, bytes]]:
    right = _content(method, uri, body)
    contents = [
        ("", right),
        ("the content ends with a line break", right + b"\n"),
        ("the lines of the content are joined by \\r\\n, not by \\n", _content(method, uri, body, b"\r\n")),
        ("the lines of the content are joined by a backslash and an n", _content(method, uri, body, b"\\n")),
        ("the lines of the content are joined without a separator", _content(method, uri, body, b"")),
        ("the body was left out", _content(method, uri, b"")),
        (
            "the SHA-256 of the body was signed instead of the body",
            _content(method, uri, sha256(body).hexdigest().encode()),
        ),
        ("the method is lower case", _content(method.lower(), uri, body)),
        ("the query string was left out of the URI", _content(method, uri.partition("?")[0], body)),
        ("the whole URL was signed, not the path", _content(method, f"http://{host}{uri}", body)),
        ("the leading / of the path was left out", _content(method, uri.removeprefix("/"), body)),
    ]
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return contents
    # JSON libraries differ in these options.
    for separators, is_ascii, is_sorted in product(((",", ":"), (", ", ": ")), (True, False), (False, True)):
        other = json.dumps(parsed, separators=separators, ensure_ascii=is_ascii, sort_keys=is_sorted).encode()
        name = (
            "the body was serialised again after signing: sign the exact bytes that are sent "
            f"({len(other)} bytes were signed, {len(body)} received)"
        )
        contents.append((name, _content(method, uri, other)))
    return contents


def _is_pss(public_key: RSAPublicKey, signature: bytes, message: bytes) -> bool:
    try:
        public_key.verify(signature, message, padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO), SHA256())
    except InvalidSignature:
        return False
    return True
