"""What the caller gets for a failure of the transport, and for any other error while a request is in flight."""

import asyncio
import re
import socket
import ssl
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import TOKEN, Kind, caller_of, for_all_transports, for_both_clients
from faults.servers import a_server, responding_once
from transports import BODY, Handler, Pieces, always, breaking, caller, failing
from wonder_payment import (
    AsyncWonderClient,
    ConfigurationError,
    NetworkError,
    RequestTimeoutError,
    RetryPolicy,
    WonderClient,
    WonderError,
)
from wonder_payment._http import fast
from wonder_payment.simulator import SimulatedGateway


def subclasses(kind: type[httpx.TransportError]) -> Iterator[type[httpx.TransportError]]:
    for subclass in kind.__subclasses__():
        if subclass.__module__ == "httpx":
            yield from (subclass, *subclasses(subclass))


OWN_CLASS = [
    httpx.TransportError,
    *subclasses(httpx.TransportError),
    *(OSError, ConnectionResetError, BrokenPipeError, TimeoutError, socket.gaierror),
]


class LibraryError(OSError):
    """An error that cannot be made from a text."""

    def __init__(self, text: str, _more: int) -> None:
        super().__init__(text)


FAILURES: list[tuple[Exception, type[Exception]]] = [
    *((kind("broken off"), kind) for kind in OWN_CLASS),
    *((kind(1, "broken off"), kind) for kind in (ssl.SSLError, ssl.SSLCertVerificationError)),
    (LibraryError("broken off", 1), OSError),
]
SMOKE = [failure for failure in FAILURES if type(failure[0]) in (httpx.ReadTimeout, OSError, httpx.ProtocolError)]

PROTOCOL = (
    "The response is not valid HTTP: broken off. Check base_url, and whether a proxy or a firewall changes the "
    "response."
)
TLS = (
    "No secure connection: broken off. Check base_url, the trusted certificates (ca_file=, SSL_CERT_FILE, "
    "SSL_CERT_DIR), client_certificate= if the server requires one, and this machine's clock."
)


def check_failure(kind: Kind, handler: Handler, failure: Exception, cause: type[Exception]) -> None:
    with pytest.raises(NetworkError) as caught:
        caller(kind, handler).check()
    error = caught.value
    if isinstance(failure, httpx.TimeoutException | TimeoutError):
        assert type(error) is RequestTimeoutError
        assert error.args == ("The gateway did not respond in time. Retry later.",)
    else:
        assert type(error) is NetworkError
        is_protocol = isinstance(failure, httpx.ProtocolError | httpx.UnsupportedProtocol)
        is_tls = isinstance(failure, ssl.SSLCertVerificationError)
        text = "No response from the gateway: broken off. Retry later."
        assert error.args == (PROTOCOL if is_protocol else TLS if is_tls else text,)
        assert error.is_transient is not (is_protocol or is_tls)
    # A copy: the frames and the request of the original hold the signed headers.
    assert type(error.__cause__) is cause
    assert error.__cause__ is not failure
    assert str(error.__cause__) == "broken off"
    assert error.__cause__.__traceback__ is None
    assert error.__cause__.__context__ is None
    assert getattr(error.__cause__, "_request", None) is None
    assert error.__context__ is None
    assert error.request_id


@pytest.mark.parametrize(("failure", "cause"), FAILURES, ids=[type(failure).__name__ for failure, _ in FAILURES])
def test_a_failure_of_the_transport_is_a_network_error(failure: Exception, cause: type[Exception]) -> None:
    check_failure(WonderClient, failing(failure), failure, cause)


@pytest.mark.parametrize(("failure", "cause"), SMOKE, ids=[type(failure).__name__ for failure, _ in SMOKE])
def test_a_failure_of_an_async_transport_is_the_same(failure: Exception, cause: type[Exception]) -> None:
    check_failure(AsyncWonderClient, failing(failure), failure, cause)


@for_both_clients
def test_a_failure_within_the_body_is_a_network_error(kind: Kind) -> None:
    stream = breaking(httpx.ReadError("broken off"))
    check_failure(kind, lambda _: httpx.Response(200, stream=stream), httpx.ReadError(""), httpx.ReadError)
    assert stream.closes == 1


@for_both_clients
def test_a_failure_to_close_a_response_changes_nothing(kind: Kind) -> None:
    stream = Pieces(lambda: iter([BODY]), close_error=httpx.CloseError("broken off"))
    assert caller(kind, lambda _: httpx.Response(200, stream=stream)).check().is_verified


QUOTED = f"{TOKEN} 4111111111111111 SAM"
TEXTS = [
    ("[Errno 111] Connection refused", "[Errno 111] Connection refused."),
    ("All connection attempts failed.", "All connection attempts failed."),
    ("", "NetworkError."),
    (f"illegal status line: {QUOTED}", "illegal status line: …4bed …1111 SAM."),
    (f"illegal status line: bytearray(b'{QUOTED}')", "illegal status line: …."),
    (f"illegal header line: b'{QUOTED}'\n and more {QUOTED}", "illegal header line: …."),
    (f'illegal header line: b"{QUOTED}"', "illegal header line: …."),
    ("verb'atim", "verb'atim."),
]


@pytest.mark.parametrize(("text", "shown"), TEXTS, ids=[shown for _, shown in TEXTS])
def test_the_text_of_a_failure_is_whole_without_secrets_and_bytes_of_the_response(text: str, shown: str) -> None:
    with pytest.raises(NetworkError) as caught:
        caller(WonderClient, failing(httpx.NetworkError(text))).check()
    assert caught.value.args == (f"No response from the gateway: {shown} Retry later.",)
    everything = "".join(traceback.format_exception(caught.value)) + str(vars(caught.value))
    assert TOKEN not in everything
    assert "4111111111111111" not in everything


# Anything else propagates unchanged


@for_both_clients
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_any_other_error_within_the_body_propagates_unchanged(kind: Kind, error: type[BaseException]) -> None:
    raised = error()
    handler, requests = always(lambda: httpx.Response(200, stream=breaking(raised)))
    with pytest.raises(error) as caught:
        caller(kind, handler, retry=RetryPolicy()).check()
    assert caught.value is raised
    assert len(requests) == 1
    assert traceback.extract_tb(raised.__traceback__)[-1].name == "body"


@for_both_clients
def test_ctrl_c_propagates_unchanged(kind: Kind) -> None:
    with pytest.raises(KeyboardInterrupt):
        caller(kind, failing(KeyboardInterrupt()), retry=RetryPolicy()).check()


@for_both_clients
@pytest.mark.parametrize("error", [RuntimeError("closed"), httpx.ReadError("closed")], ids=repr)
def test_a_client_that_is_closed_while_a_request_is_in_flight_says_so(kind: Kind, error: Exception) -> None:
    async def handler(_request: httpx.Request) -> httpx.Response:
        await client.aclose()
        raise error

    def sync_handler(_request: httpx.Request) -> httpx.Response:
        client.close()
        raise error

    client: Any = caller(kind, sync_handler if kind is WonderClient else handler).make()
    with pytest.raises(ConfigurationError, match="closed during the call"):
        asyncio.run(client.check_token(TOKEN)) if kind is AsyncWonderClient else client.check_token(TOKEN)


@for_both_clients
def test_an_assertion_of_a_mock_transport_propagates_unchanged_also_once_the_client_is_closed(kind: Kind) -> None:
    async def handler(_request: httpx.Request) -> httpx.Response:
        await client.aclose()
        raise AssertionError("not what was expected")

    def sync_handler(_request: httpx.Request) -> httpx.Response:
        client.close()
        raise AssertionError("not what was expected")

    client: Any = caller(kind, sync_handler if kind is WonderClient else handler).make()
    with pytest.raises(AssertionError, match="not what was expected"):
        asyncio.run(client.check_token(TOKEN)) if kind is AsyncWonderClient else client.check_token(TOKEN)


@for_both_clients
def test_a_client_that_is_closed_before_a_retry_sends_nothing_more(kind: Kind) -> None:
    handler, requests = always(lambda: httpx.Response(503))

    def on_retry(_error: WonderError, _delay: float) -> None:
        client.close() if kind is WonderClient else tasks.append(asyncio.create_task(client.aclose()))

    tasks: list[asyncio.Task[None]] = []
    client: Any = caller(kind, handler, retry=RetryPolicy(backoff_initial=0.01), on_retry=on_retry).make()
    with pytest.raises(ConfigurationError, match="This client was closed") as caught:
        asyncio.run(client.check_token(TOKEN)) if kind is AsyncWonderClient else client.check_token(TOKEN)
    assert (len(requests), caught.value.attempts) == (1, 1)


# What the fast transports raise

HALF = b"HTTP/1.1 200 OK\r\nX-Cardholder: SAM SAMPLE\r\nSet-Cookie: secret\r\n"


@for_all_transports
@pytest.mark.parametrize("head", [HALF, HALF + b"SAM SAMPLE\r\n\r\n"], ids=["cut off", "malformed"])
def test_an_error_within_the_headers_quotes_none_of_them(gateway: SimulatedGateway, name: str, head: bytes) -> None:
    with a_server(responding_once(head), None) as port, pytest.raises(NetworkError) as caught:
        caller_of(name, gateway).check(base_url=f"http://127.0.0.1:{port}")
    error = caught.value
    assert not re.search("SAM|secret", f"{error!r} {error} {error.__cause__!r}")
    assert error.is_transient is (head == HALF)


class SocksError(Exception):
    """An error of the library for SOCKS proxies, which httpcore lets through."""

    __module__ = "socksio.exceptions"


@for_both_clients
def test_an_error_of_a_socks_proxy_is_a_network_error(kind: Kind) -> None:
    with pytest.raises(NetworkError, match="Malformed reply") as caught:
        caller(kind, failing(SocksError("Malformed reply"))).check()
    assert caught.value.is_transient


@pytest.mark.parametrize("place", ["joined", "read"])
def test_ctrl_c_while_a_response_arrives_leaves_a_fast_client_usable(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    token = gateway.add_token()
    with gateway.client(transport="fast", retry=RetryPolicy.never()) as client:
        with monkeypatch.context() as patched:
            patched.setattr(fast, place, interrupt)
            with pytest.raises(KeyboardInterrupt):
                client.check_token(token)
        assert client.check_token(token).is_pending
