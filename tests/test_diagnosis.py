"""Of a signature that does not match, the gateway tells by name what its maker did wrong."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from wonder_payment.signing import SCHEME, sign
from wonder_payment.simulator import SimulatedGateway
from wonder_payment.simulator.diagnosis import diagnose

TIME, NONCE, HOST = "20260101000000", "0123456789abcdef", "127.0.0.1:8080"
CREDENTIAL = f"app/{TIME}/{SCHEME}"
URI = "/svc/check?a=1"
BODY = b'{"token": "\xc3\xa9", "a": 1}'


def mac(key: bytes | str, message: bytes | str) -> bytes:
    key, message = (value.encode() if isinstance(value, str) else value for value in (key, message))
    return hmac.digest(key, message, "sha256")


def content(method: str = "POST", uri: str = URI, body: bytes | None = BODY, separator: bytes = b"\n") -> bytes:
    return separator.join([method.encode(), uri.encode(), *([body] if body else [])])


K1 = mac(NONCE, TIME)
K2 = mac(K1, SCHEME)
RIGHT = mac(K2, content()).hex()
EARLIER = (datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=1)).strftime("%Y%m%d%H%M%S")


def told(key: RSAPrivateKey, signature: str, body: bytes = BODY) -> str:
    return diagnose(
        key.public_key(),
        signature,
        credential=CREDENTIAL,
        nonce=NONCE,
        method="POST",
        uri=URI,
        body=body,
        host=HOST,
    )


@pytest.mark.parametrize(
    ("signed", "hint"),
    [
        (mac(K2, content()), "32 bytes were signed"),
        (RIGHT.upper(), "upper case"),
        (RIGHT + "\n", "line break stands behind the string to sign"),
        (base64.b64encode(bytes.fromhex(RIGHT)), "is base64"),
        (sha256(RIGHT.encode()).digest(), "was hashed before it was signed"),
        (sha256(RIGHT.encode()).hexdigest(), "was hashed, to hexadecimal digits"),
        (mac(mac(K1.hex(), SCHEME), content()).hex(), "result of the first HMAC went into the second as hexadecimal"),
        (mac(K2.hex(), content()).hex(), "result of the second HMAC went into the third as hexadecimal"),
        (
            mac(mac(K1.hex(), SCHEME).hex(), content()).hex(),
            "of the first and the second HMAC were used as hexadecimal",
        ),
        (mac(mac(mac(TIME, NONCE), SCHEME), content()).hex(), "swapped in the first HMAC"),
        (mac(mac(SCHEME, K1), content()).hex(), "swapped in the second HMAC"),
        (mac(K1, content()).hex(), "second HMAC, over the scheme, is missing"),
        (mac(mac(mac(NONCE, CREDENTIAL), SCHEME), content()).hex(), "the whole Credential"),
        (mac(mac(mac(NONCE, EARLIER), SCHEME), content()).hex(), "-1 s off the one in Credential"),
        (mac(K2, content() + b"\n").hex(), "line break stands behind the content"),
        (mac(K2, content(separator=b"\r\n")).hex(), r"joined by \r\n"),
        (mac(K2, content(separator=b"\\n")).hex(), "joined by a backslash and an n"),
        (mac(K2, content(separator=b"")).hex(), "joined by nothing"),
        (mac(K2, content(body=None)).hex(), "the body was left out"),
        (mac(K2, content(body=sha256(BODY).hexdigest().encode())).hex(), "SHA-256 was signed in its place"),
        (mac(K2, content(body=json.dumps(json.loads(BODY)).encode())).hex(), "(27 bytes were signed, 23 came)"),
        (mac(K2, content(body=b'{"a":1,"token":"\xc3\xa9"}')).hex(), "(20 bytes were signed, 23 came)"),
        (mac(K2, content("post")).hex(), "the method is lower case"),
        (mac(K2, content(uri="/svc/check")).hex(), "the query string was left out"),
        (mac(K2, content(uri=f"http://{HOST}{URI}")).hex(), "the whole URL was signed"),
        (mac(K2, content(uri=URI[1:])).hex(), "the / at the path's beginning was left out"),
        (mac(K2, content("post")).hex().upper(), "the method is lower case, and the string to sign is upper case."),
        ("nonsense", f"The SHA-256 of what was signed is {sha256(b'nonsense').hexdigest()}, that of the string to"),
    ],
)
def test_a_common_mistake_is_told_by_name(gateway: SimulatedGateway, signed: bytes | str, hint: str) -> None:
    raw = gateway.private_key.sign(signed.encode() if isinstance(signed, str) else signed, padding.PKCS1v15(), SHA256())
    answer = told(gateway.private_key, base64.b64encode(raw).decode())
    assert answer.startswith("The private key is right, but ")
    assert hint in answer


PSS = padding.PSS(padding.MGF1(SHA256()), 32)


@pytest.mark.parametrize(
    ("signature", "hint"),
    [
        (lambda _: "", "There is no Signature header."),
        (lambda key: sign(key, RIGHT).replace("=", ""), "is not base64"),
        (lambda key: key.sign(RIGHT.encode(), padding.PKCS1v15(), SHA256()).hex() + "-", "is not base64"),
        (
            lambda key: base64.b64encode(sign(key, RIGHT).encode()).decode(),
            "has 344 bytes, this gateway's key makes 256",
        ),
        (lambda key: base64.b64encode(key.sign(RIGHT.encode(), PSS, SHA256())).decode(), "the padding is PSS"),
        (lambda key: base64.b64encode(key.sign(b"other", PSS, SHA256())).decode(), "another private key, or"),
        (lambda key: base64.b64encode(key.sign(RIGHT.encode(), padding.PKCS1v15(), SHA512())).decode(), "with SHA-256"),
        (lambda _: sign(generate_private_key(65537, 2048), RIGHT), "another private key, or"),
    ],
)
def test_a_signature_of_another_kind_is_told_from_a_wrong_string(
    gateway: SimulatedGateway, signature: Callable[[RSAPrivateKey], str], hint: str
) -> None:
    assert hint in told(gateway.private_key, signature(gateway.private_key))


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_json_is_no_trouble(gateway: SimulatedGateway, body: bytes) -> None:
    assert "another string was signed" in told(gateway.private_key, sign(gateway.private_key, "nonsense"), body)
