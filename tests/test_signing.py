"""The signature, the key it is made with, and the httpx.Auth that puts it on requests."""

import asyncio
import base64
import json
import re
import secrets
import string
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from wonder_payment import ConfigurationError
from wonder_payment.signing import SCHEME, WonderAuth, load_private_key, new_nonce, sign, string_to_sign, verify

VECTORS = json.loads((Path(__file__).parent / "vectors" / "signing.json").read_text(encoding="utf-8"))

each_vector = pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])

PASSPHRASE = "correct horse battery staple"

PKCS1, PKCS8 = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8

APP_ID = "d900da8b-6e16-4a85-8a66-05d29ac53f24"
ORIGIN = "https://gateway.example"
CHECK = f"{ORIGIN}/svc/payment/check"

Handler = Callable[[httpx.Request], httpx.Response]


@cache
def vector_key() -> RSAPrivateKey:
    numbers = {name: int(value, 16) for name, value in VECTORS["private_key"].items()}
    public = RSAPublicNumbers(numbers.pop("e"), numbers.pop("n"))
    return RSAPrivateNumbers(**numbers, public_numbers=public).private_key()


@cache
def rsa_key() -> RSAPrivateKey:
    return new_rsa_key(65537, 2048)


def pem(key: Any, form: PrivateFormat = PKCS8, passphrase: str | None = None) -> bytes:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    made: bytes = key.private_bytes(Encoding.PEM, form, encryption)
    return made


# The scheme, as pure functions


def body_of(vector: dict[str, Any]) -> bytes | None:
    return None if vector["body"] is None else vector["body"].encode()


def arguments_of(vector: dict[str, Any]) -> dict[str, Any]:
    return {name: vector[name] for name in ("credential", "nonce", "method", "uri")} | {"body": body_of(vector)}


@each_vector
def test_the_string_to_sign_is_the_one_of_the_vendors_sdk(vector: dict[str, Any]) -> None:
    assert string_to_sign(**arguments_of(vector)) == vector["digest_hex"]


@each_vector
def test_the_signature_is_the_one_of_the_vendors_sdk(vector: dict[str, Any]) -> None:
    assert sign(vector_key(), vector["digest_hex"]) == vector["signature"]


@each_vector
def test_a_signature_of_the_vendors_sdk_is_good(vector: dict[str, Any]) -> None:
    assert verify(vector_key().public_key(), vector["signature"], **arguments_of(vector))


def test_the_vectors_hold_a_missing_body_and_an_empty_one() -> None:
    assert {None, b""} < {body_of(vector) for vector in VECTORS["vectors"]}


def test_signing_the_same_twice_gives_the_same_signature() -> None:
    assert sign(rsa_key(), "0" * 64) == sign(rsa_key(), "0" * 64)


TIME = "20240501120123"
SIGNED: dict[str, Any] = {
    "credential": f"{APP_ID}/{TIME}/{SCHEME}",
    "nonce": "aZ09bY18cX27dW36",
    "method": "POST",
    "uri": "/svc/payment/check?limit=20",
    "body": b'{"payment_token":{}}',
}


def verified(signature: str | None = None, **altered: Any) -> bool:
    signature = sign(rsa_key(), string_to_sign(**SIGNED)) if signature is None else signature
    return verify(rsa_key().public_key(), signature, **{**SIGNED, **altered})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("credential", f"{APP_ID}/20240501120124/{SCHEME}"),
        ("credential", f"{APP_ID}/{TIME}/Wonder-RSA-SHA512"),
        ("credential", f"{APP_ID}/{TIME}/"),
        ("nonce", "aZ09bY18cX27dW37"),
        ("nonce", ""),
        ("method", "PUT"),
        ("uri", "/svc/payment/check?limit=21"),
        ("uri", "/svc/payment/check"),
        ("uri", "/svc/payment/check?limit=20\n"),
        ("body", b'{"payment_token": {}}'),
        ("body", b""),
        ("body", None),
    ],
)
def test_a_signature_is_bad_for_any_single_altered_input(name: str, value: Any) -> None:
    assert verified()
    assert not verified(**{name: value})


def test_a_signature_is_bad_for_another_key() -> None:
    signature = sign(vector_key(), string_to_sign(**SIGNED))
    assert verify(vector_key().public_key(), signature, **SIGNED)
    assert not verified(signature)


def test_the_app_id_is_no_part_of_what_is_signed() -> None:
    assert verified(credential=f"another/{TIME}/{SCHEME}")


def test_a_method_is_the_same_in_either_case() -> None:
    assert verified(method="post")


@pytest.mark.parametrize(
    "signature",
    ["", "=", "A", "AAAA", "not base64!", "AAAA\n", "Ä" * 344, "\ud800", "A" * 343, "A" * 342 + "==", "A" * 100_000],
)
def test_a_malformed_signature_is_bad_and_nothing_is_raised(signature: str) -> None:
    assert not verified(signature)


def test_a_signature_is_bad_when_any_one_of_its_bytes_is_altered_or_missing() -> None:
    good = base64.b64decode(sign(rsa_key(), string_to_sign(**SIGNED)))
    altered = [good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :] for place in range(len(good))]
    for bad in [*altered, good[:-1], good[1:], good + b"\0", b""]:
        assert not verified(base64.b64encode(bad).decode())


def test_a_signature_with_whitespace_in_it_is_bad() -> None:
    good = sign(rsa_key(), string_to_sign(**SIGNED))
    for bad in (f"{good}\n", f" {good}", f"{good[:76]}\n{good[76:]}"):
        assert not verified(bad)


@pytest.mark.parametrize(
    "credential",
    ["", "/", "//", APP_ID, f"{APP_ID}/{TIME}", f"{APP_ID}/{TIME}/{SCHEME}/", f"a/b/{TIME}/{SCHEME}", "\ud800/\ud800/"],
)
def test_a_malformed_credential_is_bad_and_nothing_is_raised(credential: str) -> None:
    assert not verified(credential=credential)


@pytest.mark.parametrize("name", ["nonce", "method", "uri"])
def test_text_that_is_no_unicode_is_bad_and_nothing_is_raised(name: str) -> None:
    assert not verified(**{name: "\ud800"})


@pytest.mark.parametrize("credential", ["", APP_ID, f"{APP_ID}/{TIME}", f"{APP_ID}/{TIME}/{SCHEME}/"])
def test_the_string_to_sign_of_a_malformed_credential_is_a_value_error(credential: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        string_to_sign(**{**SIGNED, "credential": credential})


@pytest.mark.parametrize("scheme", ["", "Wonder-RSA-SHA128", "Wonder-RSA-SHA512", "wonder-rsa-sha256"])
def test_the_string_to_sign_of_another_scheme_is_a_value_error(scheme: str) -> None:
    with pytest.raises(ValueError, match=f"scheme is not {SCHEME}"):
        string_to_sign(**{**SIGNED, "credential": f"{APP_ID}/{TIME}/{scheme}"})


# The private key


@pytest.mark.parametrize("form", [PKCS1, PKCS8], ids=["PKCS#1", "PKCS#8"])
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE, "密碼 é"], ids=["plain", "encrypted", "unicode passphrase"])
@pytest.mark.parametrize("as_text", [False, True], ids=["bytes", "str"])
def test_a_private_key_loads_in_each_of_its_forms(
    form: PrivateFormat, passphrase: str | None, *, as_text: bool
) -> None:
    made = pem(rsa_key(), form, passphrase)
    key: Any = made.decode() if as_text else made
    given: Any = passphrase if as_text or passphrase is None else passphrase.encode()
    assert load_private_key(key, given).private_numbers() == rsa_key().private_numbers()


def test_a_key_that_is_loaded_already_is_returned_as_it_is() -> None:
    assert load_private_key(rsa_key()) is rsa_key()


@pytest.mark.parametrize("passphrase", ["", b""])
def test_an_empty_passphrase_is_none(passphrase: str | bytes) -> None:
    load_private_key(pem(rsa_key()), passphrase)


def test_a_pem_may_have_whitespace_and_text_around_it_and_windows_line_ends() -> None:
    made = pem(rsa_key())
    for variant in (
        b"\n\n  " + made + b"\n\n",
        made.replace(b"\n", b"\r\n"),
        b"Bag Attributes\n  a: b\n" + made,
        made + certificate_pem(),
    ):
        assert load_private_key(variant).private_numbers() == rsa_key().private_numbers()


def truncated() -> bytes:
    made = pem(rsa_key())
    return made[: len(made) // 2]


def damaged() -> bytes:
    lines = pem(rsa_key()).splitlines(keepends=True)
    return b"".join(lines[:5] + lines[6:])


def public_pem() -> bytes:
    return rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_pkcs1_pem() -> bytes:
    return rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)


def certificate_pem() -> bytes:
    return public_pem().replace(b"PUBLIC KEY", b"CERTIFICATE")


def unknown_curve_pem() -> bytes:
    p256, unknown = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030163")
    content = new_ec_key(SECP256R1()).private_bytes(Encoding.DER, PKCS8, NoEncryption()).replace(p256, unknown)
    return b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(content) + b"-----END PRIVATE KEY-----\n"


def der() -> bytes:
    return rsa_key().private_bytes(Encoding.DER, PKCS8, NoEncryption())


REFUSED_KEYS: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "EC key": (lambda: pem(new_ec_key(SECP256R1())), None, "is not RSA but EC"),
    "EC key, SEC1": (lambda: pem(new_ec_key(SECP256R1()), PKCS1), None, "is not RSA but EC"),
    "EC key, encrypted": (lambda: pem(new_ec_key(SECP256R1()), passphrase=PASSPHRASE), PASSPHRASE, "not RSA but EC"),
    "EC key, of an unknown curve": (unknown_curve_pem, None, "can't be read"),
    "Ed25519 key": (lambda: pem(Ed25519PrivateKey.generate()), None, "is not RSA but Ed25519"),
    "public key": (public_pem, None, "is a public key"),
    "public key, PKCS#1": (public_pkcs1_pem, None, "is a public key"),
    "certificate": (certificate_pem, None, "is a certificate"),
    "certificate, then the key": (lambda: certificate_pem() + pem(rsa_key()), None, "is a certificate"),
    "OpenSSH": (lambda: pem(rsa_key(), PrivateFormat.OpenSSH), None, "OpenSSH's own format.*ssh-keygen"),
    "OpenSSH, Ed25519": (lambda: pem(Ed25519PrivateKey.generate(), PrivateFormat.OpenSSH), None, "OpenSSH's own"),
    "DER": (der, None, "is no PEM"),
    "the base64 alone": (lambda: b"".join(pem(rsa_key()).splitlines()[1:-1]), None, "is no PEM"),
    "garbage": (lambda: "hunter2hunter2hunter2", None, "is no PEM"),
    "nothing": (lambda: "", None, "is no PEM"),
    "nothing, with a passphrase": (lambda: b"", PASSPHRASE, "is no PEM"),
    "truncated": (truncated, None, "can't be read: it is damaged"),
    "truncated, with a passphrase": (truncated, PASSPHRASE, "can't be read: .* it is damaged"),
    "a line is missing": (damaged, None, "can't be read: it is damaged"),
    "wrong passphrase": (lambda: pem(rsa_key(), passphrase="right"), PASSPHRASE, "the passphrase is wrong"),
    "wrong passphrase, PKCS#1": (lambda: pem(rsa_key(), PKCS1, "right"), PASSPHRASE, "the passphrase is wrong"),
    "missing passphrase": (lambda: pem(rsa_key(), passphrase=PASSPHRASE), None, "is encrypted: give its passphrase"),
    "missing passphrase, PKCS#1": (lambda: pem(rsa_key(), PKCS1, PASSPHRASE), None, "is encrypted: give its"),
    "superfluous passphrase": (lambda: pem(rsa_key()), PASSPHRASE, "is not encrypted: give no passphrase"),
    "superfluous passphrase, PKCS#1": (lambda: pem(rsa_key(), PKCS1), PASSPHRASE, "is not encrypted: give no"),
    "int key": (lambda: 123456789012, None, "must be a PEM or an RSAPrivateKey, not int"),
    "no key": (lambda: None, None, "must be a PEM or an RSAPrivateKey, not NoneType"),
    "bytearray key": (lambda: bytearray(pem(rsa_key())), None, "not bytearray"),
    "EC key, loaded": (lambda: new_ec_key(SECP256R1()), None, "must be a PEM or an RSAPrivateKey, not EC"),
    "loaded public key": (lambda: rsa_key().public_key(), None, "not RSAPublicKey"),
    "int passphrase": (
        lambda: pem(rsa_key(), passphrase="123456789012"),
        123456789012,
        "must be text or bytes, not int",
    ),
}


def texts_of(error: BaseException | None) -> Iterator[str]:
    """Everything that a log of the error can show, the errors behind it included."""
    while error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(error.__dict__))
        assert error.__cause__ is None or error.__context__ is None or error.__cause__ is error.__context__
        error = error.__cause__ or error.__context__


def secrets_of(key: Any, passphrase: Any) -> Iterator[str]:
    text = key.decode("latin-1") if isinstance(key, bytes | bytearray) else str(key)
    if isinstance(key, str | bytes | bytearray | int):
        body = "".join(line.strip() for line in text.splitlines() if not line.startswith("-----"))
        yield from (body[start : start + 12] for start in range(len(body) - 11))
    if passphrase is not None:
        yield str(passphrase)


@pytest.mark.parametrize(("make", "passphrase", "told"), REFUSED_KEYS.values(), ids=REFUSED_KEYS)
def test_any_other_key_is_refused_with_a_message_that_tells_why_and_quotes_nothing_of_it(
    make: Callable[[], Any], passphrase: Any, told: str
) -> None:
    key = make()
    with pytest.raises(ConfigurationError, match=told) as caught:
        load_private_key(key, passphrase)
    shown = "\n".join(texts_of(caught.value))
    assert [secret for secret in secrets_of(key, passphrase) if secret in shown] == []


def test_the_auth_takes_a_pem_and_refuses_what_is_none() -> None:
    WonderAuth(APP_ID, pem(rsa_key(), PKCS1).decode(), origin=ORIGIN)
    with pytest.raises(ConfigurationError, match="is no PEM"):
        WonderAuth(APP_ID, "garbage", origin=ORIGIN)


# The httpx.Auth, as a user's plain httpx client sees it

in_both_modes = pytest.mark.parametrize("mode", ["sync", "async"])


def wonder_auth(origin: str = ORIGIN) -> WonderAuth:
    return WonderAuth(APP_ID, rsa_key(), origin=origin)


def sent(mode: str, auth: httpx.Auth, handler: Handler, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Send requests one after the other by one client, and return their answers."""
    transport = httpx.MockTransport(handler)
    wanted = [{"method": "POST", "url": CHECK, **request} for request in requests or ({},)]

    async def send_async() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=transport, auth=auth) as client:
            return [await client.request(**request) for request in wanted]

    if mode == "async":
        return asyncio.run(send_async())
    with httpx.Client(transport=transport, auth=auth) as client:
        return [client.request(**request) for request in wanted]


class Gateway:
    """A gateway whose clock may be wrong, and which answers the statuses it was given, one after the other."""

    def __init__(self, *statuses: int, ahead: float | None = 0.0, stream: "Trap | None" = None) -> None:
        self.statuses = list(statuses)
        self.ahead = ahead
        self.stream = stream
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        # The client uses the same object for the second signature: keep what was sent.
        self.requests.append(
            httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        )
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {} if self.ahead is None else {"Date": http_date(self.ahead)}
        if status != 200 and self.stream:
            return httpx.Response(status, headers=headers, stream=self.stream)
        return httpx.Response(status, headers=headers, content=b"{}")

    @property
    def clocks(self) -> list[float]:
        """How many seconds ahead of ours each request's signed time is, to some seconds."""
        return [signed_time(request).timestamp() - time.time() for request in self.requests]


def http_date(ahead: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)


def signed_time(request: httpx.Request) -> datetime:
    return datetime.strptime(request.headers["Credential"].split("/")[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def is_signed(request: httpx.Request) -> bool:
    return verify(
        rsa_key().public_key(),
        request.headers["Signature"],
        credential=request.headers["Credential"],
        nonce=request.headers["Nonce"],
        method=request.method,
        uri=request.url.raw_path.decode(),
        body=request.content,
    )


@in_both_modes
@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"payment_token": {"token": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"}}},
        {"content": b'{"payment_token" :  {} }\n'},
        {"content": '{"message": "你好 é"}'},
        {"content": bytes(range(256))},
        {"data": {"a": "1", "b": "é &="}},
        {"files": {"file": b"\x00\xff"}},
        {"content": b""},
        {"method": "GET"},
        {"method": "DELETE", "url": f"{ORIGIN}?x"},
        {"method": "GET", "url": ORIGIN},
        {"method": "GET", "params": {"limit": "20", "offset": "0"}},
        {"params": {"q": "é &/?#%"}, "content": b"x"},
        {"url": f"{ORIGIN}/a%2Fb/é c?x=%2f&y=+%20#part"},
    ],
    ids=str,
)
def test_the_signature_is_good_for_the_exact_bytes_sent(mode: str, request_: dict[str, Any]) -> None:
    gateway = Gateway()
    sent(mode, wonder_auth(), gateway, request_)
    (request,) = gateway.requests
    assert is_signed(request)


def test_a_streamed_body_is_signed_too() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one, "
        yield b"two"

    async def chunks_async() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    gateway = Gateway()
    sent("sync", wonder_auth(), gateway, {"content": chunks()})
    sent("async", wonder_auth(), gateway, {"content": chunks_async()})
    assert [(request.content, is_signed(request)) for request in gateway.requests] == [(b"one, two", True)] * 2


@in_both_modes
def test_a_request_has_the_headers_of_the_protocol(mode: str) -> None:
    gateway = Gateway()
    sent(mode, wonder_auth(), gateway)
    headers = gateway.requests[0].headers
    assert re.fullmatch(rf"{APP_ID}/[0-9]{{14}}/Wonder-RSA-SHA256", headers["Credential"])
    assert re.fullmatch(r"[0-9A-Za-z]{16}", headers["Nonce"])
    assert re.fullmatch(r"[A-Za-z0-9+/]{342}==", headers["Signature"])
    assert str(uuid.UUID(headers["X-Request-ID"])) == headers["X-Request-ID"]
    assert uuid.UUID(headers["X-Request-ID"]).version == 4


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the system's time zone can't be set")
def test_the_signed_time_is_utc_whatever_the_time_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway()
    with monkeypatch.context() as environment:
        environment.setenv("TZ", "HKT-8")
        time.tzset()
        began = datetime.now(UTC).replace(microsecond=0)
        sent("sync", wonder_auth(), gateway)
        ended = datetime.now(UTC)
    time.tzset()
    assert began <= signed_time(gateway.requests[0]) <= ended


@in_both_modes
def test_two_requests_differ_in_nonce_request_id_and_signature(mode: str) -> None:
    gateway = Gateway()
    sent(mode, wonder_auth(), gateway, {}, {})
    first, second = (request.headers for request in gateway.requests)
    assert [name for name in ("Nonce", "X-Request-ID", "Signature") if first[name] == second[name]] == []


@in_both_modes
def test_a_signature_that_the_request_brings_along_is_replaced(mode: str) -> None:
    gateway = Gateway()
    old = {"credential": "old", "nonce": "old", "SIGNATURE": "old", "x-request-id": "old"}
    sent(mode, wonder_auth(), gateway, {"headers": old})
    (request,) = gateway.requests
    assert is_signed(request)
    assert [len(request.headers.get_list(name)) for name in old] == [1, 1, 1, 1]
    assert "old" not in request.headers.values()


def test_a_nonce_is_drawn_from_62_characters_each_as_likely_as_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    nonces: list[str] = []
    for byte in range(256):
        monkeypatch.setattr(secrets, "token_bytes", lambda size, byte=byte: bytes([byte] * size))
        nonces.append(new_nonce())
    # The 8 bytes that are more than 4 times 62 give no character at all.
    assert Counter(nonces) == {"": 8} | {character * 16: 4 for character in string.ascii_letters + string.digits}


def test_a_nonce_is_whole_though_two_thirds_of_the_bytes_give_no_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_bytes", lambda size: bytes([0, 255, 255] * size)[:size])
    assert len(new_nonce()) == 16


# Its own origin


@in_both_modes
@pytest.mark.parametrize(
    ("origin", "url"),
    [
        (ORIGIN, "https://another.example/"),
        (ORIGIN, "https://gateway.example.another.example/"),
        (ORIGIN, "https://www.gateway.example/"),
        (ORIGIN, "https://gateway.example:8443/"),
        (ORIGIN, "https://gateway.example:80/"),
        (ORIGIN, "http://gateway.example/"),
        (ORIGIN, "http://gateway.example:443/"),
        (ORIGIN, "https://gateway.example@another.example/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1/"),
        ("http://127.0.0.1:8000", "http://localhost:8000/"),
        ("http://127.0.0.1", "https://127.0.0.1/"),
    ],
)
def test_nothing_is_signed_or_sent_for_another_origin(mode: str, origin: str, url: str) -> None:
    gateway = Gateway()
    with pytest.raises(ConfigurationError, match="another origin"):
        sent(mode, wonder_auth(origin), gateway, {"url": url})
    assert gateway.requests == []


@in_both_modes
@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://gateway.example", "https://gateway.example:443/"),
        ("https://gateway.example:443", "https://gateway.example/"),
        ("http://127.0.0.1", "http://127.0.0.1:80/"),
        ("http://127.0.0.1:80", "http://127.0.0.1/"),
        ("https://Gateway.Example", "HTTPS://gateway.EXAMPLE/"),
        ("https://gateway.example/", "https://gateway.example/a/b"),
        ("https://gateway.example", "HTTPS://gateway.example:443/"),
        ("http://127.0.0.1", "HTTP://127.0.0.1:80/"),
        ("http://[::1]:8000", "http://[::1]:8000/"),
    ],
)
def test_an_origin_is_the_same_however_it_is_written(mode: str, origin: str, url: str) -> None:
    gateway = Gateway()
    sent(mode, wonder_auth(origin), gateway, {"url": url})
    assert is_signed(gateway.requests[0])


# The gateway's clock


@in_both_modes
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("ahead", [310, 3600, 86400 * 400, -310, -3600, -86400 * 400])
def test_a_refusal_by_another_clock_is_answered_with_one_more_signature_of_that_clocks_time(
    mode: str, status: int, ahead: float
) -> None:
    gateway = Gateway(status, ahead=ahead)
    (response,) = sent(mode, wonder_auth(), gateway, {"content": b"body"})
    assert response.status_code == 200
    assert gateway.clocks == pytest.approx([0, ahead], abs=5)
    assert [(is_signed(request), request.content) for request in gateway.requests] == [(True, b"body")] * 2
    first, second = (request.headers for request in gateway.requests)
    assert [name for name in ("Nonce", "X-Request-ID", "Signature") if first[name] == second[name]] == []


@in_both_modes
def test_the_gateways_time_is_kept_for_the_next_requests(mode: str) -> None:
    gateway = Gateway(401, ahead=-7200)
    responses = sent(mode, wonder_auth(), gateway, {}, {}, {})
    assert [response.status_code for response in responses] == [200, 200, 200]
    assert gateway.clocks == pytest.approx([0, -7200, -7200, -7200], abs=5)


def test_the_gateways_time_is_kept_for_the_next_client_of_the_same_auth() -> None:
    gateway, auth = Gateway(403, ahead=7200), wonder_auth()
    sent("sync", auth, gateway)
    sent("async", auth, gateway)
    assert gateway.clocks == pytest.approx([0, 7200, 7200], abs=5)


@in_both_modes
def test_a_gateway_whose_clock_is_set_again_is_followed(mode: str) -> None:
    gateway, auth = Gateway(401, ahead=7200), wonder_auth()
    sent(mode, auth, gateway)
    gateway.statuses, gateway.ahead = [401], 0.0
    sent(mode, auth, gateway, {}, {})
    assert gateway.clocks == pytest.approx([0, 7200, 7200, 0, 0], abs=5)


@in_both_modes
def test_a_request_is_signed_at_most_once_more(mode: str) -> None:
    gateway = Gateway(401, 401, ahead=3600)

    def jumping(request: httpx.Request) -> httpx.Response:
        response = gateway(request)
        gateway.ahead = (gateway.ahead or 0) + 3600
        return response

    (response,) = sent(mode, wonder_auth(), jumping)
    assert response.status_code == 401
    assert len(gateway.requests) == 2


@in_both_modes
def test_a_refusal_in_the_time_we_already_know_is_final(mode: str) -> None:
    gateway = Gateway(401, 200, 403, ahead=3600)
    responses = sent(mode, wonder_auth(), gateway, {}, {})
    assert [response.status_code for response in responses] == [200, 403]
    assert gateway.clocks == pytest.approx([0, 3600, 3600], abs=5)


@in_both_modes
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("ahead", [0, 290, -290, None])
def test_a_refusal_by_our_own_clock_or_none_is_final(mode: str, status: int, ahead: float | None) -> None:
    gateway = Gateway(status, ahead=ahead)
    (response,) = sent(mode, wonder_auth(), gateway)
    assert (response.status_code, response.content) == (status, b"{}")
    assert len(gateway.requests) == 1


@in_both_modes
@pytest.mark.parametrize(("ahead", "signatures"), [(300, 1), (-300, 1), (301, 2), (-301, 2)])
def test_another_clock_is_one_that_is_off_by_more_than_5_minutes(
    mode: str, ahead: int, signatures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    requests: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(401, headers={"Date": formatdate(now + ahead, usegmt=True)})

    sent(mode, wonder_auth(), refuse)
    assert len(requests) == signatures


@in_both_modes
@pytest.mark.parametrize("date", ["", "yesterday", "0", "1753142400", "Wed, 32 Oct 2020 99:99:99 GMT", "\xff\xfe"])
def test_a_refusal_with_a_date_that_cannot_be_read_is_final(mode: str, date: str) -> None:
    requests: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(401, headers=[(b"Date", date.encode("latin-1"))])

    (response,) = sent(mode, wonder_auth(), refuse)
    assert response.status_code == 401
    assert len(requests) == 1


@in_both_modes
@pytest.mark.parametrize("status", [200, 302, 400, 404, 407, 429, 500, 503])
def test_any_other_answer_by_another_clock_is_final(mode: str, status: int) -> None:
    gateway = Gateway(status, ahead=7200)
    responses = sent(mode, wonder_auth(), gateway, {}, {})
    assert [response.status_code for response in responses] == [status, 200]
    assert gateway.clocks == pytest.approx([0, 0], abs=5)


@in_both_modes
@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 1900 00:00:00 GMT"])
def test_a_clock_of_another_century_raises_nothing(mode: str, date: str) -> None:
    responses = sent(mode, wonder_auth(), lambda _request: httpx.Response(401, headers={"Date": date}), {}, {})
    assert [response.status_code for response in responses] == [401, 401]


class Trap(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of an answer that fails the test when it is read, and tells how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        pytest.fail("the body was read")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


@in_both_modes
def test_the_body_of_the_answer_that_is_signed_again_is_closed_unread(mode: str) -> None:
    trap = Trap()
    gateway = Gateway(401, ahead=3600, stream=trap)
    (response,) = sent(mode, wonder_auth(), gateway)
    assert (response.status_code, response.content) == (200, b"{}")
    assert trap.closed == 1
