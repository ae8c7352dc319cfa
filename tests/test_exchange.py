"""One attempt over HTTP: what is sent, how much of the response is read, and until when.

Only the thread that ends a slow body needs a server; the other tests use mock transports.
"""

import gzip
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any, NoReturn

import httpx
import pytest
from conftest import TOKEN, Clock, Kind, for_both_clients, key
from faults.servers import GOOD, VERIFIED, a_server, responding_once
from transports import BODY, Pieces, always, caller, verified
from wonder_payment import (
    AsyncWonderClient,
    AuthenticationError,
    InvalidResponseError,
    RequestTimeoutError,
    RetryPolicy,
    WonderClient,
    WonderError,
)
from wonder_payment._http.connections import HttpxConnection
from wonder_payment._http.exchange import SyncExchange
from wonder_payment._http.pool import SyncPool
from wonder_payment.signing import WonderAuth, verify
from wonder_payment.simulator import Fault, SimulatedGateway

MIB = 1024 * 1024

# The request


def test_the_fast_sync_transport_sends_a_request_in_one_piece(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(sender: socket.socket, data: bytes, *flags: int) -> int:
        sent.append(bytes(data))
        return send(sender, data, *flags)

    send, sent = socket.socket.send, list[bytes]()
    monkeypatch.setattr(socket.socket, "send", record)
    with gateway.client(transport="fast") as client:
        client.check_token(VERIFIED)
    (request,) = [data for data in sent if data.startswith(b"POST ")]
    assert request.endswith(b'"}}')


@for_both_clients
def test_the_request_is_the_contracts(kind: Kind) -> None:
    handler, requests = always(verified)
    caller(kind, handler, language="zh-HK").check(TOKEN.upper())
    (request,) = requests
    headers = request.headers
    path = "/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check"
    assert (request.method, str(request.url)) == ("POST", f"https://gateway-stg.wonder.today{path}")
    assert json.loads(request.content) == {"payment_token": {"token": TOKEN}}
    assert (headers["Content-Type"], headers["Accept"]) == ("application/json", "application/json")
    assert (headers["Accept-Encoding"], headers["x-i18n-lang"]) == ("identity", "zh-HK")
    assert headers["User-Agent"].startswith("wonder-payment/")
    signed = {"credential": headers["Credential"], "nonce": headers["Nonce"], "method": "POST", "uri": path}
    assert verify(key().public_key(), headers["Signature"], body=request.content, **signed)


@for_both_clients
def test_results_and_errors_have_the_request_id_of_their_own_request(kind: Kind) -> None:
    handler, requests = always(verified)
    token = caller(kind, handler).check(times=2)
    assert [request.headers["X-Request-ID"] for request in requests][1] == token.request_id
    for response in (httpx.Response(404), httpx.Response(200)):
        handler, requests = always(lambda response=response: response)
        with pytest.raises(WonderError) as caught:
            caller(kind, handler).check()
        assert caught.value.request_id == requests[0].headers["X-Request-ID"]
        assert str(caught.value).endswith(f"(request id {caught.value.request_id}, 1 attempt)")


@for_both_clients
@pytest.mark.parametrize("minutes", [40, -40])
@pytest.mark.parametrize("is_accepted", [True, False], ids=["accepted", "rejected again"])
def test_a_request_is_signed_once_more_if_only_its_time_was_wrong(
    kind: Kind, minutes: int, *, is_accepted: bool
) -> None:
    stream = Pieces(lambda: iter([b"{}"]))
    headers = {"Date": formatdate(time.time() + minutes * 60, usegmt=True)}
    responses = itertools.chain([httpx.Response(401, headers=headers, stream=stream)], itertools.repeat(None))
    rejected = httpx.Response(401, headers=headers)
    handler, requests = always(lambda: next(responses) or (verified() if is_accepted else rejected))
    caller_ = caller(kind, handler)
    if is_accepted:
        assert caller_.check().request_id == requests[1].headers["X-Request-ID"]
    else:
        with pytest.raises(AuthenticationError, match="40 minutes") as caught:
            caller_.check()
        assert (caught.value.request_id, caught.value.attempts) == (requests[1].headers["X-Request-ID"], 1)
    times = [time.strptime(request.headers["Credential"].split("/")[1], "%Y%m%d%H%M%S") for request in requests]
    assert time.mktime(times[1]) - time.mktime(times[0]) == pytest.approx(minutes * 60, abs=2)
    assert (len(requests), stream.closes) == (2, 1)


# How much is read


@for_both_clients
@pytest.mark.parametrize("encoding", ["identity", "Identity", " ", ""])
def test_a_body_that_says_it_is_not_compressed_is_read(kind: Kind, encoding: str) -> None:
    handler, _ = always(lambda: httpx.Response(200, content=BODY, headers={"Content-Encoding": encoding}))
    assert caller(kind, handler).check().is_verified


@for_both_clients
def test_a_compressed_body_is_read_within_the_limit(kind: Kind) -> None:
    for content, is_good in ((gzip.compress(BODY), True), (gzip.compress(BODY + b" " * MIB), False)):
        response = httpx.Response(200, stream=Pieces(lambda content=content: iter([content[:9], content[9:]])))
        response.headers["Content-Encoding"] = "gzip"
        handler, _ = always(lambda response=response: response)
        if is_good:
            assert caller(kind, handler).check().is_verified
        else:
            with pytest.raises(InvalidResponseError, match="larger than 1 MiB"):
                caller(kind, handler).check()


@for_both_clients
@pytest.mark.parametrize("has_length", [True, False], ids=["a length", "no length"])
def test_a_body_of_1_mib_is_read_and_no_byte_more(kind: Kind, *, has_length: bool) -> None:
    for size in (MIB, MIB + 1):
        read = 0

        def body(size: int = size) -> Iterator[bytes]:
            nonlocal read
            for piece in (BODY, b" " * (MIB - len(BODY)), *[b" "] * (size - MIB), b""):
                read += len(piece)
                yield piece

        stream = Pieces(body)
        headers = {"Content-Length": str(size)} if has_length else {}
        handler, _ = always(lambda stream=stream, headers=headers: httpx.Response(200, stream=stream, headers=headers))
        if size == MIB:
            assert caller(kind, handler).check().is_verified
        else:
            with pytest.raises(InvalidResponseError, match="larger than 1 MiB"):
                caller(kind, handler).check()
        assert read == (0 if has_length and size > MIB else size)
        assert stream.closes == 1


# Until when


@pytest.mark.parametrize("addresses", [1, 8, None])
def test_each_step_of_a_sync_attempt_has_the_time_left_and_each_address_its_share(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, addresses: int | None
) -> None:
    timeouts: list[list[float]] = []

    def look_up(host: str, _port: None, **_options: Any) -> list[object]:
        assert host == "gateway-stg.wonder.today"
        if addresses is None:
            raise socket.gaierror
        return [object()] * addresses

    def handler(request: httpx.Request) -> httpx.Response:
        for seconds in (0.0, 4.0, 3.5, 0.5, 60.0):
            clock.skip(seconds)
            timeouts.append([request.extensions["timeout"].get(step) for step in ("pool", "connect", "write", "read")])
        raise httpx.ReadTimeout("late")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(RequestTimeoutError):
        caller(WonderClient, handler).check(timeout=8.0)
    # Each is computed when its step begins. It is never 0, which tells a socket not to wait at all.
    share = 1 / ((addresses or 1) + 1)  # and one for TLS
    assert timeouts[:3] == [pytest.approx([left, left * share, left, left], abs=0.1) for left in (8.0, 4.0, 0.5)]
    assert timeouts[3][0] == timeouts[4][0] == 0.001


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("seconds", "connect"), [(8.0, 4.0), (3.0, 1.5), (1e-9, 0.0005)])
def test_connecting_has_half_of_an_async_attempt(seconds: float, connect: float) -> None:
    timeouts: list[dict[str, float]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"])
        raise httpx.ReadTimeout("late")

    with pytest.raises(RequestTimeoutError):
        caller(AsyncWonderClient, handler).check(timeout=seconds)
    assert timeouts == [{"connect": pytest.approx(connect)}]


@for_both_clients
@pytest.mark.parametrize(("seconds", "is_in_time"), [(7.5, True), (8.5, False)])
def test_an_attempt_may_take_its_whole_timeout_and_no_longer_though_the_body_completes(
    kind: Kind, clock: Clock, seconds: float, *, is_in_time: bool
) -> None:
    def body() -> Iterator[bytes]:
        yield BODY[:1]
        clock.skip(seconds)
        yield BODY[1:]

    # The clock of a machine that has just started is near 0.
    clock.skip(0.05 - time.monotonic())
    caller_ = caller(kind, lambda _: httpx.Response(200, stream=Pieces(body)), timeout=8.0)
    if is_in_time:
        assert caller_.check().is_verified
    else:
        with pytest.raises(RequestTimeoutError):
            caller_.check()


@for_both_clients
def test_a_connection_that_breaks_at_the_deadline_is_a_timeout(kind: Kind, clock: Clock) -> None:
    def handler(_request: httpx.Request) -> httpx.Response:
        clock.skip(8.0)
        raise httpx.ReadError("reset")

    with pytest.raises(RequestTimeoutError, match=r"The gateway did not respond in time\. Retry later\."):
        caller(kind, handler).check(timeout=8.0)


def test_a_thread_ends_a_slow_body_at_the_deadline_and_does_not_keep_the_process_alive(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[threading.Timer] = []
    has_started = threading.Event()

    class Timer(threading.Timer):
        def start(self) -> None:
            timers.append(self)
            super().start()
            has_started.set()

    def send_the_rest(connection: socket.socket) -> None:
        has_started.wait(60)
        connection.sendall(GOOD[-1:])

    monkeypatch.setattr(threading, "Timer", Timer)
    with (
        a_server(responding_once(GOOD[:-1], then=send_the_rest), None) as port,
        WonderClient("app", key(), base_url=f"http://127.0.0.1:{port}", timeout=30.0) as wonder,
    ):
        assert wonder.check_token(VERIFIED).is_verified
    assert [(timer.interval, timer.daemon) for timer in timers] == [(pytest.approx(30.0), True)]
    assert timers[0].finished.is_set()
    assert clock.slept == []


def test_a_body_in_one_piece_needs_no_thread(gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(threading, "Timer")
    with gateway.client() as wonder:
        assert wonder.check_token(gateway.add_token()).is_pending


def test_a_body_in_pieces_is_read_where_no_thread_is_left(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.inject(Fault(drip=0.0001))

    def start(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    token = gateway.add_token()
    with gateway.client(retry=RetryPolicy.never()) as wonder:
        monkeypatch.setattr(threading.Thread, "start", start)
        assert wonder.check_token(token).is_pending


def test_the_repr_of_an_attempt_has_no_token() -> None:
    auth = WonderAuth("app", key(), origin="https://gateway.example")
    pool = SyncPool(lambda: HttpxConnection("https://a", httpx.MockTransport(lambda _: httpx.Response(200))), 1)
    assert TOKEN not in repr(SyncExchange(pool, auth, TOKEN, 1.0, 0.0))
