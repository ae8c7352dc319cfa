"""The simulator's verdict on a signature, and the names it gives to common mistakes."""

import base64
import hmac
import json
from collections.abc import Callable
from hashlib import sha256

import pytest
from conftest import key
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from wonder_payment.signing import SCHEME, sign, string_to_sign
from wonder_payment.simulator import Verdict
from wonder_payment.simulator.diagnosis import diagnose
from wonder_payment.simulator.verification import Verifier

NOW, TIME, EARLIER = 1_767_225_600.0, "20260101000000", "20251231235959"
NONCE, HOST = "0123456789abcdef", "127.0.0.1:8080"
CREDENTIAL = f"app/{TIME}/{SCHEME}"
URI = "/svc/check?a=1"
BODY = b'{"token": "\xc3\xa9", "a": 1}'


def judge(
    *,
    ahead: float = 0.0,
    body: bytes = BODY,
    signer: RSAPrivateKey | None = None,
    by: Verifier | None = None,
    **changes: str,
) -> Verdict:
    """Return the verdict on a good request whose headers were changed before signing, and its clock set ahead."""
    headers = {"Credential": CREDENTIAL, "Nonce": NONCE, "Host": HOST} | changes
    if headers["Credential"].endswith("/" + SCHEME) and headers["Credential"].count("/") == 2:
        string = string_to_sign(headers["Credential"], headers["Nonce"], "POST", URI, body)
        headers.setdefault("Signature", sign(signer or key(), string))
    return (by or Verifier("app", key().public_key())).judge("POST", URI, headers, body, now=NOW - ahead)


def code_of(verdict: Verdict) -> str | None:
    return verdict.rejection and verdict.rejection.code


def has_hint(verdict: Verdict, hint: str | None) -> bool:
    return verdict.hint is None if hint is None else hint in (verdict.hint or "")


@pytest.mark.parametrize(
    ("headers", "status", "code", "hint"),
    [
        ({"Credential": ""}, 400, "E000002", "There is no Credential header."),
        ({"Credential": "nonsense"}, 400, "E000002", "It has 1 parts"),
        ({"Credential": "a/b"}, 400, "E000002", "It has 2 parts"),
        ({"Credential": f"app/{TIME}/HMAC"}, 400, "E000002", "Its last part is not"),
        ({"Credential": f"/{TIME}/{SCHEME}"}, 400, "E000002", "The app id is missing."),
        ({"Credential": f"app/20260101/{SCHEME}"}, 400, "E000002", "not 14 digits"),
        ({"Credential": f"a b/{TIME}/{SCHEME}"}, 400, "E000002", "white space"),
        ({"Credential": f"another-app/{TIME}/{SCHEME}"}, 401, "SIM_APP_ID", "Expected app."),
        ({"Credential": f"app/20269999000000/{SCHEME}"}, 401, "SIM_TIME", None),
        ({"Credential": f"app/20200101000000/{SCHEME}"}, 401, "SIM_TIME", None),
        ({"Nonce": ""}, 400, "SIM_NONCE_FORMAT", "There is no Nonce header."),
        ({"Nonce": "short"}, 400, "SIM_NONCE_FORMAT", "It has 5 characters."),
        ({"Nonce": "0123456789abcde-"}, 400, "SIM_NONCE_FORMAT", "It has 16 characters."),
        ({"Signature": "AAAA"}, 401, "SIM_SIGNATURE", "has 3 bytes"),
        ({"Signature": "not base64!"}, 401, "SIM_SIGNATURE", "is not base64"),
    ],
    ids=str,
)
def test_a_wrong_header_is_rejected_by_name_with_a_hint(
    headers: dict[str, str], status: int, code: str, hint: str | None
) -> None:
    verdict = judge(**headers)
    assert verdict.rejection
    assert (verdict.rejection.status, verdict.rejection.code) == (status, code)
    assert has_hint(verdict, hint)


@pytest.mark.parametrize(
    ("ahead", "code", "hint"),
    [
        (0, None, None),
        (1800, None, None),
        (-1800, None, None),
        (1801, "SIM_TIME", "send UTC"),
        (-1801, "SIM_TIME", "send UTC"),
        (40 * 60, "SIM_TIME", None),
        (8 * 3600, "SIM_TIME", "send UTC"),
        (-5.5 * 3600, "SIM_TIME", "send UTC"),
        (24 * 3600, "SIM_TIME", None),
    ],
)
def test_a_request_may_be_half_an_hour_off_and_a_time_zone_is_recognized(
    ahead: float, code: str | None, hint: str | None
) -> None:
    verdict = judge(ahead=ahead)
    assert (code_of(verdict), verdict.seconds_off) == (code, ahead)
    assert has_hint(verdict, hint)


def test_a_nonce_is_good_once() -> None:
    verifier = Verifier("app", key().public_key())
    assert [code_of(judge(by=verifier)) for _ in range(2)] == [None, "SIM_NONCE_USED"]


def test_another_key_is_rejected() -> None:
    assert code_of(judge(signer=generate_private_key(65537, 2048))) == "SIM_SIGNATURE"


def test_only_the_first_4096_bytes_of_a_body_are_kept() -> None:
    verdict = judge(body=b"x" * 5000)
    assert (code_of(verdict), len(verdict.body), verdict.body_length) == (None, 4096, 5000)


def mac(key: bytes | str, message: bytes | str) -> bytes:
    key, message = (value.encode() if isinstance(value, str) else value for value in (key, message))
    return hmac.digest(key, message, "sha256")


def content(method: str = "POST", uri: str = URI, body: bytes | None = BODY, separator: bytes = b"\n") -> bytes:
    return separator.join([method.encode(), uri.encode(), *([body] if body else [])])


def hint_of(signature: str, body: bytes = BODY) -> str:
    signed = {"credential": CREDENTIAL, "nonce": NONCE, "method": "POST", "uri": URI, "host": HOST}
    return diagnose(key().public_key(), signature, body=body, **signed)


K1 = mac(NONCE, TIME)
K2 = mac(K1, SCHEME)
RIGHT = mac(K2, content()).hex()
SERIALIZED_AGAIN = json.dumps(json.loads(BODY)).encode()


@pytest.mark.parametrize(
    ("signed", "hint"),
    [
        (mac(K2, content()), "the 32 bytes were signed"),
        (RIGHT.upper(), "upper case"),
        (RIGHT + "\n", "the string to sign ends with a line break"),
        (base64.b64encode(bytes.fromhex(RIGHT)), "is base64"),
        (sha256(RIGHT.encode()).digest(), "was hashed before signing"),
        (sha256(RIGHT.encode()).hexdigest(), "was hashed to hexadecimal digits"),
        (mac(mac(K1.hex(), SCHEME), content()).hex(), "result of the first HMAC went into the second as hexadecimal"),
        (mac(K2.hex(), content()).hex(), "result of the second HMAC went into the third as hexadecimal"),
        (mac(mac(K1.hex(), SCHEME).hex(), content()).hex(), "the first and the second HMAC were used as hexadecimal"),
        (mac(mac(mac(TIME, NONCE), SCHEME), content()).hex(), "swapped in the first HMAC"),
        (mac(mac(SCHEME, K1), content()).hex(), "swapped in the second HMAC"),
        (mac(K1, content()).hex(), "second HMAC, over the scheme, is missing"),
        (mac(mac(mac(NONCE, CREDENTIAL), SCHEME), content()).hex(), "the whole Credential"),
        (mac(mac(mac(NONCE, EARLIER), SCHEME), content()).hex(), "the one in Credential by -1 s"),
        (mac(K2, content() + b"\n").hex(), "the content ends with a line break"),
        (mac(K2, content(separator=b"\r\n")).hex(), r"joined by \r\n"),
        (mac(K2, content(separator=b"\\n")).hex(), "joined by a backslash and an n"),
        (mac(K2, content(separator=b"")).hex(), "joined without a separator"),
        (mac(K2, content(body=None)).hex(), "the body was left out"),
        (mac(K2, content(body=sha256(BODY).hexdigest().encode())).hex(), "SHA-256 of the body was signed instead"),
        (mac(K2, content(body=SERIALIZED_AGAIN)).hex(), "(27 bytes were signed, 23 received)"),
        (mac(K2, content(body=b'{"a":1,"token":"\xc3\xa9"}')).hex(), "(20 bytes were signed, 23 received)"),
        (mac(K2, content("post")).hex(), "the method is lower case"),
        (mac(K2, content(uri="/svc/check")).hex(), "the query string was left out"),
        (mac(K2, content(uri=f"http://{HOST}{URI}")).hex(), "the whole URL was signed"),
        (mac(K2, content(uri=URI[1:])).hex(), "the leading / of the path was left out"),
        (mac(K2, content("post")).hex().upper(), "the method is lower case, and the string to sign is upper case."),
        ("nonsense", f"SHA-256 of the signed string: {sha256(b'nonsense').hexdigest()}; of the expected string"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value.strip() else "",
)
def test_a_common_mistake_is_named(signed: bytes | str, hint: str) -> None:
    raw = key().sign(signed.encode() if isinstance(signed, str) else signed, padding.PKCS1v15(), SHA256())
    found = hint_of(base64.b64encode(raw).decode())
    assert found.startswith("The private key is right, but ")
    assert hint in found


PSS = padding.PSS(padding.MGF1(SHA256()), 32)


@pytest.mark.parametrize(
    ("signature", "hint"),
    [
        (lambda _: "", "There is no Signature header."),
        (lambda key: sign(key, RIGHT).replace("=", ""), "is not base64"),
        (lambda key: key.sign(RIGHT.encode(), padding.PKCS1v15(), SHA256()).hex() + "-", "is not base64"),
        (lambda key: base64.b64encode(sign(key, RIGHT).encode()).decode(), "has 344 bytes, but the simulator's key"),
        (lambda key: base64.b64encode(key.sign(RIGHT.encode(), PSS, SHA256())).decode(), "the padding is PSS"),
        (lambda key: base64.b64encode(key.sign(b"other", PSS, SHA256())).decode(), "another private key, or"),
        (lambda key: base64.b64encode(key.sign(RIGHT.encode(), padding.PKCS1v15(), SHA512())).decode(), "not SHA-256"),
        (lambda _: sign(generate_private_key(65537, 2048), RIGHT), "another private key, or"),
    ],
    ids=["missing", "unpadded", "hexadecimal", "encoded twice", "PSS", "PSS, other string", "SHA-512", "other key"],
)
def test_a_signature_of_another_kind_is_named(signature: Callable[[RSAPrivateKey], str], hint: str) -> None:
    assert hint in hint_of(signature(key()))


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"\xff"], ids=["empty", "deep", "binary"])
def test_a_body_that_is_not_json_gets_a_hint_too(body: bytes) -> None:
    assert "a different string was signed" in hint_of(sign(key(), "nonsense"), body)
