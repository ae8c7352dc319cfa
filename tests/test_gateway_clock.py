"""WonderAuth signs a request again by the gateway's clock if the two clocks differ."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from signed import CHECK, Gateway, equal_headers, is_signed, wonder_auth


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
