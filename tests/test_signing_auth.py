"""WonderAuth, the httpx.Auth that signs requests: headers, origin, and the gateway's clock."""

import asyncio
import re
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from conftest import key
from wonder_payment import ConfigurationError
from wonder_payment.signing import WonderAuth, verify

APP_ID = "d900da8b-6e16-4a85-8a66-05d29ac53f24"
ORIGIN = "https://gateway.example"
CHECK = f"{ORIGIN}/svc/payment/check"


def wonder_auth(origin: str = ORIGIN) -> WonderAuth:
    return WonderAuth(APP_ID, key(), origin=origin)


class Gateway:
    """Drives the auth like httpx does, with the responses of a gateway whose clock may differ.

    Attributes:
        statuses: The next responses; 200 after the last one.
        ahead: Seconds by which the gateway's clock is ahead; None: its responses have no date.
        requests: What was sent.
    """

    def __init__(self, *statuses: int, ahead: float | None = 0.0) -> None:
        self.statuses = list(statuses)
        self.ahead = ahead
        self.requests: list[httpx.Request] = []

    def respond(self, request: httpx.Request) -> httpx.Response:
        # The auth signs the same object again: keep a copy of what was sent.
        self.requests.append(
            httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        )
        date = {} if self.ahead is None else {"Date": formatdate(time.time() + self.ahead, usegmt=True)}
        return httpx.Response(self.statuses.pop(0) if self.statuses else 200, headers=date)

    def send(self, auth: WonderAuth, url: str = CHECK, **request: Any) -> int:
        """Send a request and return the status of its final response."""
        flow = auth.auth_flow(httpx.Request(request.pop("method", "POST"), url, **request))
        signed = next(flow)
        while True:
            response = self.respond(signed)
            try:
                signed = flow.send(response)
            except StopIteration:
                return response.status_code

    @property
    def clocks(self) -> list[float]:
        """The seconds by which each request's signed time is ahead of ours."""
        return [signed_time(request).timestamp() - time.time() for request in self.requests]


def signed_time(request: httpx.Request) -> datetime:
    return datetime.strptime(request.headers["Credential"].split("/")[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def is_signed(request: httpx.Request) -> bool:
    return verify(
        key().public_key(),
        request.headers["Signature"],
        credential=request.headers["Credential"],
        nonce=request.headers["Nonce"],
        method=request.method,
        uri=request.url.raw_path.decode(),
        body=request.content,
    )


def equal_headers(*requests: httpx.Request) -> list[str]:
    """Return which of the headers that must differ are equal in two requests."""
    first, second = (request.headers for request in requests)
    return [name for name in ("Nonce", "X-Request-ID", "Signature") if first[name] == second[name]]


def test_httpx_clients_of_both_kinds_sign_a_request_and_sign_it_again_by_the_gateways_clock() -> None:
    sync, slow, auth = Gateway(401, ahead=3600), Gateway(401, ahead=-3600), wonder_auth()

    async def send_async() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.MockTransport(slow.respond), auth=wonder_auth()) as client:
            return await client.post(CHECK, content=chunks_async())

    with httpx.Client(transport=httpx.MockTransport(sync.respond), auth=auth) as client:
        responses = [client.post(CHECK, content=iter([b"one, ", b"two"])), asyncio.run(send_async())]
    assert [response.status_code for response in responses] == [200, 200]
    for gateway, ahead in ((sync, 3600), (slow, -3600)):
        assert gateway.clocks == pytest.approx([0, ahead], abs=5)
        assert [(is_signed(request), request.content) for request in gateway.requests] == [(True, b"one, two")] * 2
        assert equal_headers(*gateway.requests) == []


async def chunks_async() -> AsyncIterator[bytes]:
    yield b"one, "
    yield b"two"


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


# The gateway's clock


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("ahead", [310, 3600, 86400 * 400, -310, -3600, -86400 * 400])
def test_a_request_that_was_rejected_for_its_time_is_signed_with_the_gateways_time(status: int, ahead: float) -> None:
    gateway = Gateway(status, ahead=ahead)
    assert gateway.send(wonder_auth(), content=b"body") == 200
    assert gateway.clocks == pytest.approx([0, ahead], abs=5)
    assert [(is_signed(request), request.content) for request in gateway.requests] == [(True, b"body")] * 2
    assert equal_headers(*gateway.requests) == []


def test_the_gateways_time_is_kept_for_later_requests_of_the_same_auth() -> None:
    gateway, auth = Gateway(401, ahead=-7200), wonder_auth()
    assert [gateway.send(auth) for _ in range(3)] == [200, 200, 200]
    assert gateway.clocks == pytest.approx([0, -7200, -7200, -7200], abs=5)


def test_a_gateway_whose_clock_is_set_is_followed() -> None:
    gateway, auth = Gateway(401, ahead=7200), wonder_auth()
    gateway.send(auth)
    gateway.statuses, gateway.ahead = [401], 0.0
    gateway.send(auth)
    gateway.send(auth)
    assert gateway.clocks == pytest.approx([0, 7200, 7200, 0, 0], abs=5)


def test_a_request_is_signed_twice_at_most() -> None:
    gateway, auth = Gateway(401, 401, 200, ahead=3600), wonder_auth()
    assert gateway.send(auth) == 401
    assert len(gateway.requests) == 2
    # A date that did not help is not kept.
    gateway.send(auth)
    assert gateway.clocks == pytest.approx([0, 3600, 0], abs=5)


def test_a_rejection_within_the_known_time_is_final() -> None:
    gateway, auth = Gateway(401, 200, 403, ahead=3600), wonder_auth()
    assert [gateway.send(auth), gateway.send(auth)] == [200, 403]
    assert gateway.clocks == pytest.approx([0, 3600, 3600], abs=5)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("ahead", [0, 290, -290, None])
def test_a_rejection_by_an_equal_clock_or_none_is_final(status: int, ahead: float | None) -> None:
    gateway = Gateway(status, ahead=ahead)
    assert gateway.send(wonder_auth()) == status
    assert len(gateway.requests) == 1


@pytest.mark.parametrize(("ahead", "signatures"), [(300, 1), (-300, 1), (301, 2), (-301, 2)])
def test_clocks_differ_if_they_are_more_than_5_minutes_apart(
    ahead: int, signatures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    gateway = Gateway(401, ahead=ahead)
    gateway.send(wonder_auth())
    assert len(gateway.requests) == signatures


DATES = ["", "yesterday", "0", "1753142400", "Wed, 32 Oct 2020 99:99:99 GMT", "\xff\xfe"]


@pytest.mark.parametrize(
    ("date", "requests"),
    [
        *[(date, 1) for date in DATES],
        *[(date, 2) for date in ("Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 1900 00:00:00 GMT")],
    ],
    ids=ascii,
)
def test_any_date_is_no_error(date: str, requests: int) -> None:
    flow = wonder_auth().auth_flow(httpx.Request("POST", CHECK))
    rejection = httpx.Response(401, headers=[(b"Date", date.encode("latin-1"))])
    next(flow)
    for _ in range(requests - 1):
        flow.send(rejection)
    with pytest.raises(StopIteration):
        flow.send(rejection)


@pytest.mark.parametrize("status", [200, 302, 400, 404, 407, 429, 500, 503])
def test_any_other_response_by_another_clock_is_final(status: int) -> None:
    gateway, auth = Gateway(status, ahead=7200), wonder_auth()
    assert [gateway.send(auth), gateway.send(auth)] == [status, 200]
    assert gateway.clocks == pytest.approx([0, 0], abs=5)
