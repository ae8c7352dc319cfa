"""verify_request(): whether a request, such as a webhook, comes from the vendor and is recent."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from conftest import key
from crashes import crash_report
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from signing_vectors import VECTORS, arguments_of, each_vector, vector_key
from wonder_payment import ConfigurationError, InvalidSignatureError, WonderError
from wonder_payment.signing import SCHEME, WonderAuth, sign, string_to_sign, verify_request

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()
NONCE = "aZ09bY18cX27dW36"
REQUEST: dict[str, Any] = {"method": "POST", "uri": "/webhooks/wonder?shop=1", "body": b'{"order": {"number": "1"}}'}

CREDENTIAL = "The Credential header is missing or malformed."
NONCE_HEADER = "The Nonce header is missing, or is not 16 alphanumeric characters."
SIGNATURE = "The Signature header is missing, or does not match the request and the public key."


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


def credential(ahead: float = 0.0, *, app_id: str = "vendor", scheme: str = SCHEME) -> str:
    """Return a credential whose time is ``ahead`` seconds ahead of this machine's clock."""
    return f"{app_id}/{datetime.fromtimestamp(NOW + ahead, UTC):%Y%m%d%H%M%S}/{scheme}"


def signed(credential: str, nonce: str = NONCE, **request: Any) -> dict[str, str]:
    """Return the headers of a request that the vendor signed."""
    digest = string_to_sign(credential, nonce, **REQUEST | request)
    return {"Credential": credential, "Nonce": nonce, "Signature": sign(key(), digest), "X-Action": "order.paid"}


def problem_of(
    headers: Any, *, public_key: RSAPublicKey | None = None, tolerance: float = 1800.0, **request: Any
) -> str | None:
    """Return the message of the error; None if the request is genuine and recent."""
    arguments = REQUEST | request
    try:
        verify_request(public_key or key().public_key(), headers=headers, tolerance=tolerance, **arguments)
    except InvalidSignatureError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"method": "post"},
        {"body": b""},
        {"body": None},
        {"body": "訂單".encode(), "uri": "/"},
        {"method": "GET", "body": None, "uri": "/%E8%A8%82?a=%20"},
    ],
    ids=repr,
)
def test_a_request_that_the_vendor_signed_passes(request_: dict[str, Any]) -> None:
    assert problem_of(signed(credential(), **request_), **request_) is None


@each_vector
def test_a_request_that_the_vendors_sdk_signed_passes(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    request = arguments_of(vector)
    headers = {"Credential": request.pop("credential"), "Nonce": request.pop("nonce"), "Signature": vector["signature"]}
    signed_at = datetime.strptime(headers["Credential"].split("/")[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    monkeypatch.setattr(time, "time", signed_at.timestamp)
    verify_request(vector_key().public_key(), headers=headers, **request)
    assert len(VECTORS["vectors"]) > 5


def test_a_request_of_our_own_signer_passes() -> None:
    auth = WonderAuth("app", key(), origin="https://gateway.example")
    request = httpx.Request("POST", "https://gateway.example/a?b=c", content=b"{}")
    next(auth.auth_flow(request))
    assert problem_of(request.headers, uri="/a?b=c", body=b"{}") is None


@pytest.mark.parametrize("form", [dict, httpx.Headers])
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title, str.swapcase])
def test_the_names_of_the_headers_may_be_in_any_case(case: Callable[[str], str], form: Any) -> None:
    assert problem_of(form({case(name): value for name, value in signed(credential()).items()})) is None


def test_the_error_says_why_and_quotes_nothing_of_the_request() -> None:
    headers = signed(credential()) | {"Nonce": "b" * 16}
    with pytest.raises(InvalidSignatureError) as caught:
        verify_request(key().public_key(), headers=headers, **REQUEST)
    error = caught.value
    assert isinstance(error, WonderError)
    assert (str(error), error.is_transient, error.request_id) == (SIGNATURE, False, None)
    shown = "\n".join(crash_report(error))
    secrets = [headers["Signature"][:12], headers["Nonce"], headers["Credential"], "order"]
    assert [secret for secret in secrets if secret in shown] == []


# The headers

HEADERS = {"Credential": CREDENTIAL, "Nonce": NONCE_HEADER, "Signature": SIGNATURE}


@pytest.mark.parametrize(("name", "problem"), HEADERS.items())
def test_a_missing_or_empty_header_is_named(name: str, problem: str) -> None:
    headers = signed(credential())
    assert problem_of(headers | {name: ""}) == problem
    del headers[name]
    assert problem_of(headers) == problem
    assert problem_of({}) == CREDENTIAL


@pytest.mark.parametrize(
    "value",
    [
        *("vendor", "//", f"vendor/20261021072800/{SCHEME}/", f"a/b/20261021072800/{SCHEME}"),
        *(f"vendor/{time}/{SCHEME}" for time in ("", "2026102107280", "202610210728000", "20261321072800", "now")),
        *(f"vendor/{time}/{SCHEME}" for time in ("20261021 72800", "00000101000000", "٢٠٢٦١٠٢١٠٧٢٨٠٠")),
        *(f"vendor/20261021072800/{scheme}" for scheme in ("", "Wonder-HMAC-SHA256", SCHEME.lower(), f"{SCHEME}\n")),
        *(f"{app_id}/20261021072800/{SCHEME}" for app_id in ("", "a b", "é", "a\n")),
    ],
    ids=repr,
)
def test_a_malformed_credential_is_an_error(value: str) -> None:
    assert problem_of(signed(credential()) | {"Credential": value}) == CREDENTIAL


@pytest.mark.parametrize("nonce", ["a" * 15, "a" * 17, "a" * 15 + "-", "a" * 15 + "é", "a" * 16 + "\n", " " * 16])
def test_a_nonce_is_16_letters_and_digits_even_if_the_signature_matches(nonce: str) -> None:
    assert problem_of(signed(credential(), nonce)) == NONCE_HEADER


@pytest.mark.parametrize("signature", ["=", "not base64!", "AAAA", "Ä" * 344, "\ud800", "A" * 344, "A" * 100_000])
def test_a_malformed_signature_is_an_error(signature: str) -> None:
    assert problem_of(signed(credential()) | {"Signature": signature}) == SIGNATURE


# The time


@pytest.mark.parametrize(
    ("ahead", "tolerance", "is_off"),
    [
        *((ahead, 1800.0, False) for ahead in (0, 1, -1, 1799, 1800, -1800)),
        *((ahead, 1800.0, True) for ahead in (1801, -1801, 86400, -86400, 8 * 3600)),
        *((ahead, 60.0, abs(ahead) > 60) for ahead in (60, -60, 61, -61)),
        *((ahead, 0.0, ahead != 0) for ahead in (0, 1, -1)),
        (10**9, math.inf, False),
        (0, -1.0, True),
        (0, math.nan, True),
    ],
)
def test_the_time_may_be_off_by_the_tolerance_both_ways(ahead: float, tolerance: float, *, is_off: bool) -> None:
    problem = problem_of(signed(credential(ahead)), tolerance=tolerance)
    assert problem == (f"The time in the Credential header is more than {tolerance:g} s off." if is_off else None)


def test_the_default_tolerance_is_30_minutes() -> None:
    public_key = key().public_key()
    for ahead in (1800.0, -1800.0):
        verify_request(public_key, headers=signed(credential(ahead)), **REQUEST)
    for ahead in (1801.0, -1801.0):
        with pytest.raises(InvalidSignatureError, match="1800 s off"):
            verify_request(public_key, headers=signed(credential(ahead)), **REQUEST)


# The signature


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"method": ""},
        {"uri": "/webhooks/wonder?shop=2"},
        {"uri": "/webhooks/wonder"},
        {"uri": "https://shop.example/webhooks/wonder?shop=1"},
        {"body": b'{"order":{"number":"1"}}'},
        {"body": REQUEST["body"] + b"\n"},
        {"body": b""},
        {"body": None},
    ],
    ids=repr,
)
def test_a_request_that_was_changed_is_an_error(changed: dict[str, Any]) -> None:
    assert problem_of(signed(credential()), **changed) == SIGNATURE


@pytest.mark.parametrize("headers", [{"Nonce": "b" * 16}, {"Credential": credential(1.0)}], ids=repr)
def test_a_header_that_was_changed_is_an_error(headers: dict[str, str]) -> None:
    assert problem_of(signed(credential()) | headers) == SIGNATURE


def test_a_request_that_another_key_signed_is_an_error() -> None:
    headers = signed(credential())
    assert problem_of(headers, public_key=vector_key().public_key()) == SIGNATURE
    other = sign(vector_key(), string_to_sign(headers["Credential"], NONCE, **REQUEST))
    assert problem_of(headers | {"Signature": other}) == SIGNATURE


def test_a_replay_passes_because_it_is_the_callers_to_check() -> None:
    headers = signed(credential())
    assert [problem_of(headers) for _ in range(2)] == [None, None]


@pytest.mark.parametrize(
    "public_key", ["-----BEGIN PUBLIC KEY-----", None, key()], ids=["a PEM", "None", "a private key"]
)
def test_a_key_that_is_not_an_rsa_public_key_is_a_clear_error(public_key: Any) -> None:
    with pytest.raises(ConfigurationError, match="public_key must be an RSAPublicKey"):
        verify_request(public_key, method="POST", uri="/", headers={}, body=b"")
