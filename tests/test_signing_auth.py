"""WonderAuth, the httpx.Auth that signs requests: headers and origin."""

import re
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from signed import APP_ID, CHECK, ORIGIN, Gateway, equal_headers, is_signed, signed_time, wonder_auth
from wonder_payment import ConfigurationError


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
    ids=lambda request: ascii(request)[:60],
)
def test_the_signature_is_valid_for_the_exact_bytes_sent(request_: dict[str, Any]) -> None:
    gateway = Gateway()
    with httpx.Client(transport=httpx.MockTransport(gateway.respond), auth=wonder_auth()) as client:
        client.request(**{"method": "POST", "url": CHECK} | request_)
    assert [is_signed(request) for request in gateway.requests] == [True]


def test_a_request_has_the_headers_of_the_protocol() -> None:
    gateway = Gateway()
    gateway.send(wonder_auth())
    headers = gateway.requests[0].headers
    assert re.fullmatch(rf"{APP_ID}/[0-9]{{14}}/Wonder-RSA-SHA256", headers["Credential"])
    assert re.fullmatch(r"[0-9A-Za-z]{16}", headers["Nonce"])
    assert re.fullmatch(r"[A-Za-z0-9+/]{342}==", headers["Signature"])
    assert str(uuid.UUID(headers["X-Request-ID"], version=4)) == headers["X-Request-ID"]


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the system's time zone cannot be set")
def test_the_signed_time_is_utc_in_every_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway()
    with monkeypatch.context() as environment:
        environment.setenv("TZ", "HKT-8")
        time.tzset()
        began = datetime.now(UTC).replace(microsecond=0)
        gateway.send(wonder_auth())
        ended = datetime.now(UTC)
    time.tzset()
    assert began <= signed_time(gateway.requests[0]) <= ended


def test_two_requests_differ_in_nonce_request_id_and_signature() -> None:
    gateway, auth = Gateway(), wonder_auth()
    gateway.send(auth)
    gateway.send(auth)
    assert equal_headers(*gateway.requests) == []


def test_headers_of_an_earlier_signature_are_replaced() -> None:
    gateway = Gateway()
    old = {"credential": "old", "nonce": "old", "SIGNATURE": "old", "x-request-id": "old"}
    gateway.send(wonder_auth(), headers=old)
    (request,) = gateway.requests
    assert is_signed(request)
    assert [len(request.headers.get_list(name)) for name in old] == [1, 1, 1, 1]
    assert "old" not in request.headers.values()


def test_a_nonce_and_a_request_id_come_from_the_systems_secure_source(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = wonder_auth()
    signatures = [next(auth.signatures("POST", "/", b"")) for _ in range(20)]
    assert len({signature["Nonce"] for signature in signatures}) == 20
    assert len({signature["X-Request-ID"] for signature in signatures}) == 20
    monkeypatch.setattr(secrets, "token_bytes", lambda size: b"\xab" * size)
    signature = next(auth.signatures("POST", "/", b""))
    assert (signature["Nonce"], signature["X-Request-ID"]) == ("ab" * 8, "abababab-abab-4bab-abab-abababababab")


# Its origin


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
def test_nothing_is_signed_or_sent_for_another_origin(origin: str, url: str) -> None:
    gateway = Gateway()
    with pytest.raises(ConfigurationError, match="not signed: its origin is not"):
        gateway.send(wonder_auth(origin), url)
    assert gateway.requests == []


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
def test_an_origin_is_the_same_in_every_spelling(origin: str, url: str) -> None:
    gateway = Gateway()
    gateway.send(wonder_auth(origin), url)
    assert is_signed(gateway.requests[0])
