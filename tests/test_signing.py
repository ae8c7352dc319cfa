"""The signature scheme."""

import base64
from typing import Any

import pytest
from conftest import key
from signed import APP_ID
from signing_vectors import VECTORS, arguments_of, body_of, each_vector, vector_key
from wonder_payment.signing import SCHEME, sign, string_to_sign, verify


@each_vector
def test_the_string_to_sign_is_that_of_the_vendors_sdk(vector: dict[str, Any]) -> None:
    assert string_to_sign(**arguments_of(vector)) == vector["digest_hex"]


@each_vector
def test_the_signature_is_that_of_the_vendors_sdk(vector: dict[str, Any]) -> None:
    assert sign(vector_key(), vector["digest_hex"]) == vector["signature"]


@each_vector
def test_a_signature_of_the_vendors_sdk_is_valid(vector: dict[str, Any]) -> None:
    assert verify(vector_key().public_key(), vector["signature"], **arguments_of(vector))


def test_the_vectors_include_a_missing_and_an_empty_body() -> None:
    assert {None, b""} < {body_of(vector) for vector in VECTORS["vectors"]}


def test_equal_input_gives_equal_signatures() -> None:
    assert sign(key(), "0" * 64) == sign(key(), "0" * 64)


TIME = "20240501120123"
SIGNED: dict[str, Any] = {
    "credential": f"{APP_ID}/{TIME}/{SCHEME}",
    "nonce": "aZ09bY18cX27dW36",
    "method": "POST",
    "uri": "/svc/payment/check?limit=20",
    "body": b'{"payment_token":{}}',
}


def verified(signature: str | None = None, **altered: Any) -> bool:
    signature = sign(key(), string_to_sign(**SIGNED)) if signature is None else signature
    return verify(key().public_key(), signature, **{**SIGNED, **altered})


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
def test_a_signature_is_invalid_if_any_input_changes(name: str, value: Any) -> None:
    assert verified()
    assert not verified(**{name: value})


def test_a_signature_is_invalid_for_another_key() -> None:
    signature = sign(vector_key(), string_to_sign(**SIGNED))
    assert verify(vector_key().public_key(), signature, **SIGNED)
    assert not verified(signature)


def test_the_app_id_is_not_signed() -> None:
    assert verified(credential=f"another/{TIME}/{SCHEME}")


def test_the_case_of_the_method_does_not_matter() -> None:
    assert verified(method="post")


@pytest.mark.parametrize(
    "signature",
    ["", "=", "A", "AAAA", "not base64!", "AAAA\n", "Ä" * 344, "\ud800", "A" * 343, "A" * 342 + "==", "A" * 100_000],
)
def test_a_malformed_signature_is_invalid_and_no_error(signature: str) -> None:
    assert not verified(signature)


def test_a_signature_is_invalid_if_any_of_its_bytes_changes_or_is_missing() -> None:
    good = base64.b64decode(sign(key(), string_to_sign(**SIGNED)))
    altered = [good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :] for place in range(len(good))]
    for bad in [*altered, good[:-1], good[1:], good + b"\0", b""]:
        assert not verified(base64.b64encode(bad).decode())


def test_a_signature_with_whitespace_is_invalid() -> None:
    good = sign(key(), string_to_sign(**SIGNED))
    for bad in (f"{good}\n", f" {good}", f"{good[:76]}\n{good[76:]}"):
        assert not verified(bad)


@pytest.mark.parametrize(
    "credential",
    ["", "/", "//", APP_ID, f"{APP_ID}/{TIME}", f"{APP_ID}/{TIME}/{SCHEME}/", f"a/b/{TIME}/{SCHEME}", "\ud800/\ud800/"],
)
def test_a_malformed_credential_is_invalid_and_no_error(credential: str) -> None:
    assert not verified(credential=credential)


@pytest.mark.parametrize("name", ["nonce", "method", "uri"])
def test_text_that_is_not_unicode_is_invalid_and_no_error(name: str) -> None:
    assert not verified(**{name: "\ud800"})


@pytest.mark.parametrize("credential", ["", APP_ID, f"{APP_ID}/{TIME}", f"{APP_ID}/{TIME}/{SCHEME}/"])
def test_the_string_to_sign_of_a_malformed_credential_is_a_value_error(credential: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        string_to_sign(**{**SIGNED, "credential": credential})


@pytest.mark.parametrize("scheme", ["", "Wonder-RSA-SHA128", "Wonder-RSA-SHA512", "wonder-rsa-sha256"])
def test_the_string_to_sign_of_another_scheme_is_a_value_error(scheme: str) -> None:
    with pytest.raises(ValueError, match=f"scheme is not {SCHEME}"):
        string_to_sign(**{**SIGNED, "credential": f"{APP_ID}/{TIME}/{scheme}"})
