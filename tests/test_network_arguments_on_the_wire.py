"""proxy=, ca_file= and client_certificate= on the wire, for all transports."""

import base64
import logging
import os
import re
import select
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from conftest import caller_of, for_all_transports
from crashes import crash_report
from faults.servers import (
    GOOD,
    NOWHERE,
    VERIFIED,
    Script,
    a_server,
    authority,
    environment,
    good_tls,
    over_tls,
    responding,
)
from proxies import CREDENTIALS, PASSWORD, connect_proxy, recording
from tls_files import SECRET, of_files, write_files
from wonder_payment import NetworkError, RetryPolicy, WonderError
from wonder_payment.simulator import SimulatedGateway


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return write_files(tmp_path_factory.mktemp("tls"))


def mutual(script: Script, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Script:
    """Return a script that runs this one within TLS, if the client has a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version, context.verify_mode = version, ssl.CERT_REQUIRED
    authority().configure_trust(context)
    authority().issue_cert("127.0.0.1", NOWHERE).configure_cert(context)

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            script(inner)

    return wrapped


@for_all_transports
@pytest.mark.parametrize(
    "certificate",
    ["both", ("certificate", "key"), ("certificate", "encrypted key", SECRET)],
    ids=str,
)
def test_a_gateway_gets_the_client_certificate(
    gateway: SimulatedGateway, name: str, certificate: Any, files: Mapping[str, str]
) -> None:
    settings = {"ca_file": files["authority"], "client_certificate": of_files(certificate, files)}
    with environment(), a_server(mutual(responding()), None) as port:
        assert (
            caller_of(name, gateway, base_url=f"https://127.0.0.1:{port}", **settings)
            .check(VERIFIED, times=2)
            .is_verified
        )


@for_all_transports
def test_a_missing_client_certificate_is_an_error_that_names_the_setting(
    gateway: SimulatedGateway, name: str, files: Mapping[str, str]
) -> None:
    # With TLS 1.3 the alert comes after the request, and the reset that follows may overtake it.
    script = mutual(responding(), ssl.TLSVersion.TLSv1_2)
    with (
        environment(),
        a_server(script, None) as port,
        pytest.raises(NetworkError, match=r"No secure connection: .* client_certificate= if the server requires one"),
    ):
        caller_of(name, gateway, base_url=f"https://127.0.0.1:{port}", ca_file=files["authority"]).check(VERIFIED)


@for_all_transports
def test_other_authorities_than_those_given_are_not_trusted(
    gateway: SimulatedGateway, name: str, tmp_path: Path, files: Mapping[str, str]
) -> None:
    other = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with (
        environment(SSL_CERT_FILE=files["authority"]),
        a_server(good_tls("127.0.0.1"), None) as port,
        pytest.raises(NetworkError, match="unable to get local issuer certificate"),
    ):
        caller_of(name, gateway, base_url=f"https://127.0.0.1:{port}", ca_file=other).check(VERIFIED)


def relay(port: int) -> Script:
    """Return a script that passes everything on to a port of this machine, and back."""

    def script(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as inner:
            others = {connection: inner, inner: connection}
            while True:
                for ready in select.select([*others], [], [])[0]:
                    if not (piece := ready.recv(65536)):
                        return
                    others[ready].sendall(piece)

    return script


@contextmanager
def a_proxy(heads: list[bytes], scheme: str, password: str, files: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A proxy that wants the credentials, and for https a client certificate; yields the settings that use it."""
    settings = {"ca_file": files["authority"], "client_certificate": files["both"]}
    with a_server(mutual(recording(heads, GOOD)), None) as inside:
        script = connect_proxy(heads, relay(inside))
        with a_server(mutual(script) if scheme == "https" else script, None) as port:
            url = httpx.URL(f"{scheme}://127.0.0.1:{port}", username="svc", password=password)
            # None of these variables counts.
            with environment(HTTPS_PROXY="http://127.0.0.1:1", NO_PROXY="*", SSL_CERT_FILE=os.devnull):
                yield settings | {"proxy": str(url)}


@for_all_transports
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_given_gets_its_password_and_the_gateway_does_not(
    gateway: SimulatedGateway, name: str, scheme: str, files: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    heads: list[bytes] = []
    with caplog.at_level(logging.DEBUG), a_proxy(heads, scheme, PASSWORD, files) as settings:
        made = caller_of(name, gateway, base_url=f"https://{NOWHERE}", **settings)
        assert made.check(VERIFIED).is_verified
        shown = repr(made.make(**settings))
    connect, check = heads
    assert connect.startswith(b"CONNECT %s:443 " % NOWHERE.encode())
    assert CREDENTIALS in connect
    assert b"proxy-authorization" not in check.lower()
    for secret in (PASSWORD, CREDENTIALS.decode(), "svc"):
        assert secret not in "".join([shown, *caplog.messages])


@for_all_transports
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_given_that_rejects_its_password_shows_no_part_of_it(
    gateway: SimulatedGateway, name: str, scheme: str, files: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        a_proxy([], scheme, SECRET, files) as settings,
        pytest.raises(NetworkError, match="the proxy returned HTTP 407") as caught,
    ):
        caller_of(name, gateway, base_url=f"https://{NOWHERE}", **settings).check(VERIFIED)
    encoded = base64.b64encode(f"svc:{SECRET}".encode()).decode()
    # httpcore's log lines quote the proxy's own words, but not what was sent.
    own = [record.getMessage() for record in caplog.records if record.name == "wonder_payment"]
    assert not re.search(f"{SECRET}|svc", "".join([*crash_report(caught.value), *own]))
    assert not re.search(f"{SECRET}|{encoded}", "".join(caplog.messages))


@for_all_transports
def test_a_tunnel_in_which_tls_fails_is_not_used_again(
    gateway: SimulatedGateway, name: str, files: Mapping[str, str]
) -> None:
    heads: list[bytes] = []
    tunnels: list[Script] = [lambda _connection: None]  # the first closes at once

    def inside(connection: socket.socket) -> None:
        (tunnels.pop() if tunnels else good)(connection)

    good = over_tls(authority().issue_cert(NOWHERE), recording(heads, GOOD))
    with environment(), a_server(connect_proxy(heads, inside), None) as port:
        proxy = httpx.URL(f"http://127.0.0.1:{port}", username="svc", password=PASSWORD)
        made = caller_of(name, gateway, base_url=f"https://{NOWHERE}", proxy=str(proxy), ca_file=files["authority"])
        assert made.check(VERIFIED, retry=RetryPolicy(backoff_initial=0.0)).is_verified
    assert [head.partition(b" ")[0] for head in heads] == [b"CONNECT", b"CONNECT", b"POST"]


@for_all_transports
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_plain_http_goes_through_a_proxy_on_this_machine(
    gateway: SimulatedGateway, name: str, scheme: str, files: Mapping[str, str]
) -> None:
    heads: list[bytes] = []
    script = recording(heads, GOOD)
    script = over_tls(authority().issue_cert("127.0.0.1"), script) if scheme == "https" else script
    with environment(), a_server(script, None) as port:
        proxy = f"{scheme}://svc:{SECRET}@127.0.0.1:{port}"
        made = caller_of(name, gateway, proxy=proxy, ca_file=files["authority"])
        assert made.check(VERIFIED).is_verified
    assert heads[0].startswith(b"POST %s/" % gateway.base_url.encode())
    assert base64.b64encode(f"svc:{SECRET}".encode()) in heads[0]
    assert gateway.requests == []


@for_all_transports
def test_a_proxy_that_rejects_a_plain_request_is_an_error_of_the_proxy(gateway: SimulatedGateway, name: str) -> None:
    rejected = b"HTTP/1.1 407 not svc\r\nContent-Length: 0\r\n\r\n"
    with (
        environment(),
        a_server(responding(rejected), None) as port,
        pytest.raises(WonderError, match="check the user name and the password in the proxy's URL") as caught,
    ):
        caller_of(name, gateway, proxy=f"http://svc:{SECRET}@127.0.0.1:{port}").check(VERIFIED)
    assert SECRET not in "".join(crash_report(caught.value))
