"""proxy=, ca_file= and client_certificate= of both clients, in place of the environment's proxy and certificates."""

import base64
import inspect
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
from unittest.mock import patch

import httpx
import pytest
import trustme
from conftest import Kind, caller_of, for_all_transports, for_both_clients, key
from crashes import crash_report
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
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
from proxies import BAD_URL, BAD_URLS, CREDENTIALS, PASSWORD, connect_proxy, recording
from wonder_payment import AsyncWonderClient, ConfigurationError, NetworkError, RetryPolicy, WonderClient, WonderError
from wonder_payment._http.environment import network_options
from wonder_payment.config import Settings
from wonder_payment.simulator import SimulatedGateway

ORIGIN = "https://gateway.example"
LOCAL = "http://127.0.0.1:8080"
PROXY = "http://proxy.example:3128"
SECRET = "Tr0ub4dor"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The paths of PEM files, good and bad ones."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, other = (authority().issue_cert(f"{name}.example") for name in ("service", "other"))
    private_key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encrypted = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode()))
    contents = {
        "authority": authority().cert_pem.bytes(),
        "both": certificate.private_key_and_cert_chain_pem.bytes(),
        "certificate": certificate.cert_chain_pems[0].bytes(),
        "key": certificate.private_key_pem.bytes(),
        "encrypted key": encrypted,
        "key of another": other.private_key_pem.bytes(),
        "key in DER": private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "no PEM": SECRET.encode(),
        "empty": b"",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in [*contents, "missing"]} | {"folder": str(folder)}


# Decisions


@pytest.mark.parametrize(
    ("variables", "origin", "proxy"),
    [
        ({}, ORIGIN, PROXY),
        ({"HTTPS_PROXY": "http://other.example"}, ORIGIN, PROXY),
        ({"HTTPS_PROXY": "ftp://cannot be used"}, ORIGIN, PROXY),
        ({"NO_PROXY": "*"}, ORIGIN, PROXY),
        ({}, "https://localhost", PROXY),
        ({}, LOCAL, "http://127.0.0.1:3128"),
        ({}, LOCAL, "https://localhost"),
    ],
    ids=str,
)
def test_a_proxy_given_is_used_for_every_request(variables: dict[str, str], origin: str, proxy: str) -> None:
    with environment(**variables):
        assert str(network_options(origin, proxy=proxy)["proxy"].url) == proxy


def test_the_authorities_given_are_the_only_ones(files: Mapping[str, str]) -> None:
    for variables in ({}, {"SSL_CERT_FILE": files["missing"]}, {"SSL_CERT_DIR": files["missing"]}):
        with environment(**variables, SSLKEYLOGFILE=f"{files['folder']}/log"):
            context = network_options(ORIGIN, ca_file=Path(files["authority"]))["verify"]
        assert len(context.get_ca_certs()) == 1
        assert context.keylog_filename is None
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


def test_an_https_proxy_and_the_gateway_share_the_certificates(files: Mapping[str, str]) -> None:
    options = network_options(LOCAL, proxy="https://localhost", ca_file=files["authority"])
    assert options["proxy"].ssl_context is options["verify"]
    assert len(options["verify"].get_ca_certs()) == 1


PEM = "a PEM file with a certificate and its own key, or a tuple of two and the password of an encrypted key"
NO_PEM = f"client_certificate= cannot be used: expected {PEM}."
NO_AUTHORITIES = "ca_file= cannot be used: expected the path of a PEM file with certificates."
NO_FILE = "(ca_file|client_certificate)= cannot be used: No such file or directory."
FOLDER = "(ca_file|client_certificate)= cannot be used: Is a directory."
BAD = {
    "proxy": [
        *(
            (url, f"The proxy from proxy= cannot be used: {BAD_URL}.")
            for url in [*BAD_URLS, "proxy.example:3128", "", 1]
        ),
        ("socks5://svc:Tr0ub@proxy.example", "The proxy from proxy= cannot be used: a SOCKS proxy needs .*"),
    ],
    "ca_file": [
        *((value, "ca_file= must be the path of a PEM file, not .*") for value in ("", b"")),
        *(("missing", NO_FILE), ("folder", FOLDER)),
        *((value, NO_AUTHORITIES) for value in ("no PEM", "empty", "key", "a\0b", 1)),
    ],
    "client_certificate": [
        *((value, NO_FILE) for value in ("", "missing", ("certificate", "missing"), ("both", SECRET))),
        *(
            (value, NO_PEM)
            for value in (1, (), ("both",), ("certificate", None), ("certificate", "key", SECRET, SECRET))
        ),
        *(
            (("certificate", "encrypted key", password), f"client_certificate= must be {PEM}, not .*")
            for password in (None, 1, [SECRET], lambda: SECRET)
        ),
        ("folder", FOLDER),
        *((name, NO_PEM) for name in ("no PEM", "empty", "certificate", "key", "encrypted key")),
        *((("certificate", name), NO_PEM) for name in ("key of another", "key in DER", "certificate", "encrypted key")),
        *((("certificate", "encrypted key", word), NO_PEM) for word in ("", f"{SECRET}!", b"x" * 2000, "\udce4")),
    ],
}


def of_files(value: Any, files: Mapping[str, str]) -> Any:
    if isinstance(value, tuple):
        return tuple(of_files(part, files) for part in value)
    return files.get(value, value) if isinstance(value, str) else value


@for_both_clients
@pytest.mark.parametrize("transport", [None, "fast"])
@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [(setting, value, problem) for setting, rows in BAD.items() for value, problem in rows],
    ids=lambda value: ascii(value)[:40] if not callable(value) else "callable",
)
def test_a_wrong_argument_is_an_error_of_the_client_that_names_it_and_shows_no_secret(
    kind: Kind, transport: Any, setting: str, value: Any, problem: str, files: Mapping[str, str]
) -> None:
    given = of_files(value, files)
    for base_url in (ORIGIN, LOCAL):
        with pytest.raises(ConfigurationError) as caught:
            kind("app", key(), base_url=base_url, transport=transport, **{setting: given})
        assert re.fullmatch(f"{problem}|{re.escape(problem)}", caught.value.args[0])
        assert caught.value.attempts == 0
        assert caught.value.__context__ is None
        assert not re.search("Tr0ub|4dor", "".join(crash_report(caught.value)))


@for_both_clients
def test_plain_http_to_a_proxy_stays_on_this_machine(kind: Kind) -> None:
    with pytest.raises(ConfigurationError, match="proxy= must be on a loopback host if base_url= is http") as caught:
        kind("app", key(), base_url=LOCAL, proxy=f"http://svc:{SECRET}@proxy.example:3128")
    assert SECRET not in "".join(crash_report(caught.value))


def test_a_socks_proxy_given_cannot_be_used_by_aiohttp() -> None:
    with (
        patch("wonder_payment._http.environment.find_spec", return_value=object()),
        pytest.raises(ConfigurationError, match="cannot use a SOCKS proxy"),
    ):
        AsyncWonderClient("app", key(), environment="sandbox", transport="fast", proxy="socks5://proxy.example:1080")


@for_both_clients
@pytest.mark.parametrize("setting", BAD)
def test_a_transport_of_the_callers_own_takes_none_of_them(kind: Kind, setting: str) -> None:
    arguments: dict[str, Any] = {"transport": httpx.MockTransport(lambda _: httpx.Response(200)), setting: SECRET}
    with pytest.raises(ConfigurationError) as caught:
        kind("app", key(), environment="sandbox", **arguments)
    assert caught.value.args == (f"transport= is your own, which ignores {setting}=: configure it there.",)
    assert SECRET not in "".join(crash_report(caught.value))


def test_from_env_takes_every_argument_of_a_client() -> None:
    taken = set(inspect.signature(WonderClient.__init__).parameters) - {"self"}
    assert taken == Settings.__optional_keys__
    assert set(BAD) < taken


# On the wire


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
