"""load_private_key(): a key in each format, and what the message about any other key says."""

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import key
from crashes import crash_report
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import CertificateBuilder, Name, NameAttribute
from cryptography.x509.oid import NameOID
from signed import APP_ID, ORIGIN
from signing_vectors import vector_key
from wonder_payment import ConfigurationError
from wonder_payment.signing import WonderAuth, load_private_key

PASSPHRASE = "correct horse battery staple"

PKCS1, PKCS8 = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8


def pem(private_key: Any, form: PrivateFormat = PKCS8, passphrase: str | None = None) -> bytes:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    made: bytes = private_key.private_bytes(Encoding.PEM, form, encryption)
    return made


@pytest.mark.parametrize("form", [PKCS1, PKCS8], ids=["PKCS#1", "PKCS#8"])
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE, "密碼 é"], ids=["plain", "encrypted", "unicode passphrase"])
@pytest.mark.parametrize("as_text", [False, True], ids=["bytes", "str"])
def test_a_private_key_loads_in_each_of_its_formats(
    form: PrivateFormat, passphrase: str | None, *, as_text: bool
) -> None:
    made = pem(key(), form, passphrase)
    given_key: Any = made.decode() if as_text else made
    given: Any = passphrase if as_text or passphrase is None else passphrase.encode()
    assert load_private_key(given_key, given).private_numbers() == key().private_numbers()


def test_a_loaded_key_is_returned_as_it_is() -> None:
    assert load_private_key(key()) is key()


@pytest.mark.parametrize("passphrase", ["", b""])
def test_an_empty_passphrase_is_no_passphrase(passphrase: str | bytes) -> None:
    load_private_key(pem(key()), passphrase)


def truncated() -> bytes:
    made = pem(key())
    return made[: len(made) // 2]


def damaged() -> bytes:
    lines = pem(key()).splitlines(keepends=True)
    return b"".join(lines[:5] + lines[6:])


def public_pem() -> bytes:
    return key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_pkcs1_pem() -> bytes:
    return key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)


def public_der() -> bytes:
    return key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def certificate_pem() -> bytes:
    return public_pem().replace(b"PUBLIC KEY", b"CERTIFICATE")


def unknown_curve_pem() -> bytes:
    p256, unknown = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030163")
    content = new_ec_key(SECP256R1()).private_bytes(Encoding.DER, PKCS8, NoEncryption()).replace(p256, unknown)
    return b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(content) + b"-----END PRIVATE KEY-----\n"


def der(private_key: Any = None) -> bytes:
    return (private_key or key()).private_bytes(Encoding.DER, PKCS8, NoEncryption())


def certificate(encoding: Encoding) -> bytes:
    name, now = Name([NameAttribute(NameOID.COMMON_NAME, "gateway.example")]), datetime(2026, 1, 1, tzinfo=UTC)
    builder = CertificateBuilder(name, name, key().public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key(), SHA256()).public_bytes(encoding)


def pkcs12() -> bytes:
    return serialize_key_and_certificates(None, key(), None, None, NoEncryption())


WRONG_KEYS: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "EC key": (lambda: pem(new_ec_key(SECP256R1())), None, "is EC, not RSA"),
    "EC key, SEC1": (lambda: pem(new_ec_key(SECP256R1()), PKCS1), None, "is EC, not RSA"),
    "EC key, encrypted": (lambda: pem(new_ec_key(SECP256R1()), passphrase=PASSPHRASE), PASSPHRASE, "is EC, not RSA"),
    "EC key, of an unknown curve": (unknown_curve_pem, None, "cannot be read"),
    "Ed25519 key": (lambda: pem(Ed25519PrivateKey.generate()), None, "is Ed25519, not RSA"),
    "public key": (public_pem, None, "is a public key"),
    "public key, PKCS#1": (public_pkcs1_pem, None, "is a public key"),
    "certificate": (certificate_pem, None, "is a certificate"),
    "OpenSSH": (lambda: pem(key(), PrivateFormat.OpenSSH), None, "the OpenSSH format.*ssh-keygen"),
    "OpenSSH, Ed25519": (lambda: pem(Ed25519PrivateKey.generate(), PrivateFormat.OpenSSH), None, "the OpenSSH format"),
    "garbage": (lambda: "hunter2hunter2hunter2", None, "is not a PEM"),
    "nothing": (lambda: "", None, "is not a PEM"),
    "nothing, with a passphrase": (lambda: b"", PASSPHRASE, "is not a PEM"),
    "truncated": (truncated, None, "cannot be read: the key is damaged"),
    "truncated, with a passphrase": (truncated, PASSPHRASE, "cannot be read: the key is damaged"),
    "a line is missing": (damaged, None, "cannot be read: the key is damaged"),
    "wrong passphrase": (lambda: pem(key(), passphrase="right"), PASSPHRASE, "passphrase= is wrong"),
    "wrong passphrase, PKCS#1": (
        lambda: pem(key(), PKCS1, "right"),
        PASSPHRASE,
        "passphrase= is wrong",
    ),
    "missing passphrase": (
        lambda: pem(key(), passphrase=PASSPHRASE),
        None,
        "is encrypted: pass its passphrase in passphrase=",
    ),
    "missing passphrase, PKCS#1": (lambda: pem(key(), PKCS1, PASSPHRASE), None, "is encrypted"),
    "superfluous passphrase": (lambda: pem(key()), PASSPHRASE, "is not encrypted: omit passphrase="),
    "superfluous passphrase, PKCS#1": (lambda: pem(key(), PKCS1), PASSPHRASE, "is not encrypted"),
    "EC key, DER": (lambda: der(new_ec_key(SECP256R1())), None, "is EC, not RSA"),
    "EC key, base64": (lambda: base64.b64encode(der(new_ec_key(SECP256R1()))), None, "is EC, not RSA"),
    "certificate request": (
        lambda: public_pem().replace(b"PUBLIC KEY", b"CERTIFICATE REQUEST"),
        None,
        "is a certificate",
    ),
    "certificate, DER": (lambda: certificate(Encoding.DER), None, "is a certificate"),
    "certificate, base64": (lambda: base64.b64encode(certificate(Encoding.DER)), None, "is a certificate"),
    "certificate, base64 of the PEM": (lambda: base64.b64encode(certificate_pem()), None, "is a certificate"),
    "public key, DER": (public_der, None, "is a public key"),
    "public key, base64": (lambda: base64.b64encode(public_der()).decode(), None, "is a public key"),
    "public key, OpenSSH": (
        lambda: key().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        None,
        "is a public key",
    ),
    "PKCS#12": (pkcs12, None, "PKCS#12 format.*openssl pkcs12"),
    "PKCS#12, with a passphrase": (pkcs12, PASSPHRASE, "PKCS#12 format"),
    "PKCS#12, base64": (lambda: base64.encodebytes(pkcs12()), None, "PKCS#12 format"),
    "PuTTY": (lambda: "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n", None, "PuTTY format.*puttygen"),
    "JWK": (lambda: '{"kty": "RSA", "n": "hunter2hunter2"}', None, "is a JWK"),
    "XML": (lambda: "<RSAKeyValue><Modulus>hunter2hunter2</Modulus></RSAKeyValue>", None, "is an XML key"),
    "two keys": (lambda: pem(key()) + pem(vector_key(), PKCS1), None, "has 2 private keys: keep the one"),
    "another kind of PEM": (lambda: public_pem().replace(b"PUBLIC KEY", b"X509 CRL"), None, "is a PEM of another kind"),
    "a path": (
        lambda: "/run/secrets/hunter2hunter2.pem",
        None,
        "To pass a file, use WONDER_PRIVATE_KEY_FILE or a pathlib",
    ),
    "int key": (lambda: 123456789012, None, "must be a private key: .* not int"),
    "no key": (lambda: None, None, "must be a private key: .* not NoneType"),
    "bytearray key": (lambda: bytearray(pem(key())), None, "not bytearray"),
    "EC key, loaded": (lambda: new_ec_key(SECP256R1()), None, "must be a private key: .* not EC"),
    "loaded public key": (lambda: key().public_key(), None, "not RSAPublicKey"),
    "int passphrase": (
        lambda: pem(key(), passphrase="123456789012"),
        123456789012,
        "must be text or bytes, not int",
    ),
}


def secrets_of(private_key: Any, passphrase: Any) -> Iterator[str]:
    text = private_key.decode("latin-1") if isinstance(private_key, bytes | bytearray) else str(private_key)
    if isinstance(private_key, str | bytes | bytearray | int):
        body = "".join(line.strip() for line in text.splitlines() if not line.startswith("-----"))
        yield from (body[start : start + 12] for start in range(len(body) - 11))
    if passphrase is not None:
        yield str(passphrase)


@pytest.mark.parametrize(("make", "passphrase", "problem"), WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_the_message_about_any_other_key_says_why_and_quotes_nothing_of_it(
    make: Callable[[], Any], passphrase: Any, problem: str
) -> None:
    private_key = make()
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load_private_key(private_key, passphrase)
    shown = "\n".join(crash_report(caught.value))
    assert [secret for secret in secrets_of(private_key, passphrase) if secret in shown] == []
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_the_auth_takes_a_pem_or_says_why_it_cannot() -> None:
    WonderAuth(APP_ID, pem(key(), PKCS1).decode(), origin=ORIGIN)
    with pytest.raises(ConfigurationError, match="is not a PEM"):
        WonderAuth(APP_ID, "garbage", origin=ORIGIN)
