"""What went wrong with a signature: an RSA signature shows what was signed, so common mistakes can be told by name."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import product
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from wonder_payment.signing import SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = ["TIME_FORMAT", "derive", "diagnose"]

# Of the time in Credential, UTC.
TIME_FORMAT = "%Y%m%d%H%M%S"

# What PKCS #1 v1.5 puts before a SHA-256 (RFC 8017, section 9.2, note 1).
_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


def derive(nonce: str, request_time: str) -> tuple[bytes, bytes]:
    """Return the results of the two HMACs that come before the one over the content.

    No secret goes into them: both inputs stand in the request's headers.
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
    """Return what is wrong with a signature that does not match, as far as it can be told; never quotes it.

    Args:
        public_key: What it should match.
        signature: The Signature header, as it came.
        credential: The Credential header: a well-formed one.
        nonce: The Nonce header.
        method: The HTTP method.
        uri: The path with its query string.
        body: The bytes that came.
        host: The Host header, for those who signed a whole URL.
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
        "The private key is right, but another string was signed: compare step by step. "
        f"The SHA-256 of what was signed is {signed.hex()}, that of the string to sign {sha256(right).hexdigest()}."
    )


def _digest_in(signature: str, public_key: RSAPublicKey, wanted: bytes) -> bytes:
    """Return the SHA-256 of what was signed.

    Raises:
        ValueError: The signature is of another kind; the message tells which, as far as can be told.
    """
    if not signature:
        raise ValueError("There is no Signature header.")
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        raise ValueError("Signature is not base64: the standard alphabet, with padding, in one line.") from None
    if len(raw) != public_key.key_size // 8:
        raise ValueError(
            f"Signature has {len(raw)} bytes, this gateway's key makes {public_key.key_size // 8}: "
            "it was made with another private key, or encoded twice, or cut."
        )
    try:
        padded = public_key.recover_data_from_signature(raw, padding.PKCS1v15(), None)
    except InvalidSignature:
        if _is_pss(public_key, raw, wanted):
            problem = (
                "The private key and the string to sign are right, but the padding is PSS: wanted is PKCS #1 v1.5."
            )
        else:
            problem = "Signature was made with another private key, or with another padding than PKCS #1 v1.5."
        raise ValueError(problem) from None
    if not padded.startswith(_SHA256_PREFIX):
        raise ValueError("The private key is right, but the hash is another: wanted is RSA with SHA-256.")
    return padded.removeprefix(_SHA256_PREFIX)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _content(method: str, uri: str, body: bytes, separator: bytes = b"\n") -> bytes:
    return separator.join([method.encode(), uri.encode(), *([body] if body else [])])


# In each of these tables the first line is what is wanted, and so has no name.

_ENCODINGS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("", lambda digest: digest.hex().encode()),
    ("32 bytes were signed, not their 64 hexadecimal digits", lambda digest: digest),
    ("the string to sign is upper case", lambda digest: digest.hex().upper().encode()),
    ("a line break stands behind the string to sign", lambda digest: digest.hex().encode() + b"\n"),
    ("the string to sign is base64, not hexadecimal", base64.b64encode),
    (
        "the string to sign was hashed before it was signed, and signing hashes it again",
        lambda digest: sha256(digest.hex().encode()).digest(),
    ),
    (
        "the string to sign was hashed, to hexadecimal digits, before it was signed",
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
    # Who asks the clock twice, for Credential and for the HMAC, signs another second now and then.
    for seconds in (-1, 1):
        other = datetime.strptime(request_time.decode(), TIME_FORMAT).replace(tzinfo=UTC) + timedelta(seconds=seconds)
        name = f"the time that was signed is {seconds:+} s off the one in Credential: ask the clock once"
        keys.append((name, derive(nonce, other.strftime(TIME_FORMAT))[1]))
    return keys


def _contents(method: str, uri: str, body: bytes, host: str) -> list[tuple[str, bytes]]:
    right = _content(method, uri, body)
    contents = [
        ("", right),
        ("a line break stands behind the content", right + b"\n"),
        ("the lines of the content are joined by \\r\\n, not by \\n", _content(method, uri, body, b"\r\n")),
        ("the lines of the content are joined by a backslash and an n", _content(method, uri, body, b"\\n")),
        ("the lines of the content are joined by nothing", _content(method, uri, body, b"")),
        ("the body was left out", _content(method, uri, b"")),
        ("the body's SHA-256 was signed in its place", _content(method, uri, sha256(body).hexdigest().encode())),
        ("the method is lower case", _content(method.lower(), uri, body)),
        ("the query string was left out of the URI", _content(method, uri.partition("?")[0], body)),
        ("the whole URL was signed, not the path", _content(method, f"http://{host}{uri}", body)),
        ("the / at the path's beginning was left out", _content(method, uri.removeprefix("/"), body)),
    ]
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return contents
    # JSON libraries differ in these.
    for separators, is_ascii, is_sorted in product(((",", ":"), (", ", ": ")), (True, False), (False, True)):
        other = json.dumps(parsed, separators=separators, ensure_ascii=is_ascii, sort_keys=is_sorted).encode()
        name = (
            "the body was written anew after signing: sign the very bytes that are sent "
            f"({len(other)} bytes were signed, {len(body)} came)"
        )
        contents.append((name, _content(method, uri, other)))
    return contents


def _is_pss(public_key: RSAPublicKey, signature: bytes, message: bytes) -> bool:
    try:
        public_key.verify(signature, message, padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO), SHA256())
    except InvalidSignature:
        return False
    return True
