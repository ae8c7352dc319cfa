"""Proxy and certificate settings of the environment."""

import base64
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import TracebackException
from unittest.mock import patch
from urllib.parse import quote

import httpx
import pytest
from conftest import Kind, caller_of, for_all_transports, for_both_clients, key
from faults.servers import (
    GOOD,
    NOWHERE,
    VERIFIED,
    a_server,
    authority,
    environment,
    good_tls,
    over_tls,
    trusted,
)
from proxies import BAD_URL, BAD_URLS, CREDENTIALS, PASSWORD, WRONG, connect_proxy, recording
from wonder_payment import AsyncWonderClient, ConfigurationError, NetworkError
from wonder_payment._http.environment import certificates, environment_proxy
from wonder_payment._http.failures import proxy_failure
from wonder_payment.simulator import SimulatedGateway

ORIGIN = "https://gateway.example"
PROXY = "http://proxy.example:3128"


def proxy(origin: str = ORIGIN, **variables: str) -> str | None:
    """Return the URL of the proxy in an environment with these variables only."""
    with environment(**variables):
        found = environment_proxy(origin)
    return found and str(found.url)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example"),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"ALL_PROXY": "http://other.example", "HTTPS_PROXY": PROXY}, PROXY),
        ({"ALL_PROXY": PROXY, "HTTPS_PROXY": ""}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"NO_PROXY": "other.example", "HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "ftp://other.example"}, PROXY),
        ({"HTTPS_PROXY": f"{PROXY}/"}, f"{PROXY}/"),
        ({"HTTPS_PROXY": "http://[2001:db8::9]:3128"}, "http://[2001:db8::9]:3128"),
        *(({"ALL_PROXY": bad, "HTTPS_PROXY": PROXY}, PROXY) for bad in ("socks://127.0.0.1:1080/", "ftp://x", "://")),
        ({"HTTP_PROXY": "ftp://x", "FTP_PROXY": "://", "all_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": "ftp://x", "NO_PROXY": "gateway.example"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "gateway.example", "no_proxy": ""}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "", "no_proxy": "gateway.example"}, None),
    ],
    ids=str,
)
def test_the_proxy_is_that_of_the_scheme_or_of_all_schemes(variables: dict[str, str], url: str | None) -> None:
    assert proxy(**variables) == url


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("p%40ss", "p@ss"),
        ("p@ss", "p@ss"),
        ("p:ss", "p:ss"),
        ("p%3Ass", "p:ss"),
        ("p%2Fs%23s%3F", "p/s#s?"),
        ("p%25ss", "p%ss"),
        ("p%ss", "p%ss"),
        ("p%C3%A4ss", "päss"),
        ("", ""),
    ],
)
def test_a_proxy_has_the_user_and_the_password_of_its_url(written: str, password: str) -> None:
    with environment(HTTPS_PROXY=f"http://user:{written}@proxy.example:3128"):
        found = environment_proxy(ORIGIN)
    assert found
    assert (str(found.url), found.raw_auth) == (PROXY, (b"user", password.encode()))


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "https://localhost", "https://[::1]:8443"])
@pytest.mark.parametrize("url", [PROXY, "ftp://secret@proxy.example"])
def test_a_loopback_host_is_reached_directly(origin: str, url: str) -> None:
    assert proxy(origin, ALL_PROXY=url) is None


IPV4, IPV6 = "https://10.1.2.3", "https://[2001:db8::1]"
EXCLUDED = {
    ORIGIN: [
        *("*", "*:443", "gateway.example", "GATEWAY.EXAMPLE", "gateway.example.", "*.example.", "_x, gateway.example"),
        *("other.example, gateway.example", "other.example gateway.example", " , gateway.example,\t"),
        *("example", ".example", "*.example", "gateway.example:443", ".example:443", "::::, gateway.example"),
        "localhost,127.0.0.0/8,::1/128,gateway.example",
    ],
    f"{ORIGIN}.": ["gateway.example", "gateway.example.", ".example"],
    f"{ORIGIN}:8443": ["gateway.example", "gateway.example:8443"],
    IPV4: ["10.1.2.3", "10.1.2.3:443", "10.0.0.0/8", "10.0.0.0/8:443", "10.1.2.99/24", "0.0.0.0/0"],
    IPV6: [
        *("2001:db8::1", "2001:DB8:0:0::1", "[2001:db8::1]", "[2001:db8::1]:443", "2001:db8::1%eth0"),
        *("[2001:db8::1%eth0]:443", "2001:db8::/32", "[2001:db8::/32]", "[2001:db8::]/32", "[2001:db8::]/32:443"),
    ],
}
INCLUDED = {
    ORIGIN: [
        *(".gateway.example", "way.example", "gateway.example.org", "gateway.example:8443", "*:80", "", " , "),
        *("localhost,127.0.0.0/8,::1/128", "10.0.0.0/8", "2001:db8::1"),
    ],
    IPV4: ["11.0.0.0/8", "10.1.2.3:80", "10.0.0.0/8:80", "::/0", "1.2.3", "gateway.example"],
    IPV6: ["2001:db9::/32", "[2001:db8::1]:80", "0.0.0.0/0"],
}


@pytest.mark.parametrize(
    ("origin", "no_proxy", "url"),
    [
        (origin, no_proxy, url)
        for table, url in ((EXCLUDED, None), (INCLUDED, PROXY))
        for origin, entries in table.items()
        for no_proxy in entries
    ],
)
def test_no_proxy_lists_hosts_addresses_and_networks(origin: str, no_proxy: str, url: str | None) -> None:
    assert proxy(origin, HTTPS_PROXY=PROXY, NO_PROXY=no_proxy) == url


@pytest.mark.parametrize(
    "entry",
    [
        *(
            "https://gateway.example",
            "gateway.example/path",
            "gateway.*",
            "gate*.example",
            "..example",
            ".",
            "*.",
            "**",
        ),
        *("gateway.example:https", "gateway.example:123456", ":443", "[gateway.example", "[::1", "::::", "1:2:3"),
        *("10.0.0.0/33", "::1/129", "user@gateway.example", "gateway.example;other.example"),
    ],
)
def test_an_entry_of_no_proxy_that_is_not_understood_is_skipped_with_a_line_in_the_log(
    entry: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "wonder_payment"):
        assert proxy(HTTPS_PROXY=PROXY, NO_PROXY=f"other.example,{entry}") == PROXY
    assert caplog.messages == ["entry 2 of NO_PROXY was skipped: it is not a host, an address or a network"]


def test_an_entry_of_no_proxy_that_is_understood_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "wonder_payment"):
        for origin, entries in (EXCLUDED | INCLUDED).items():
            for no_proxy in entries:
                if "::::" not in no_proxy:
                    proxy(origin, HTTPS_PROXY=PROXY, NO_PROXY=no_proxy)
    assert caplog.messages == []


@for_both_clients
@pytest.mark.parametrize(
    ("name", "url", "problem"),
    [
        *(("HTTPS_PROXY", url, BAD_URL) for url in BAD_URLS),
        ("https_proxy", BAD_URLS[0], BAD_URL),
        ("ALL_PROXY", BAD_URLS[0], BAD_URL),
        ("all_proxy", "socks5://svc:Tr0ub@proxy.example", "a SOCKS proxy needs `pip install 'httpx[socks]'`"),
    ],
    ids=ascii,
)
def test_a_proxy_that_cannot_be_used_is_an_error_of_the_client_that_names_the_variable_and_quotes_nothing(
    kind: Kind, name: str, url: str, problem: str
) -> None:
    with environment(**{name: url}), pytest.raises(ConfigurationError) as caught:
        kind("app", key(), environment="sandbox")
    assert caught.value.args == (f"The proxy from {name} cannot be used: {problem}.",)
    assert caught.value.__context__ is None
    own = caught.tb.tb_next  # without this test's frame
    report = "".join(TracebackException(type(caught.value), caught.value, own, capture_locals=True).format())
    assert not re.search("svc|Tr0ub|4dor", report)


REJECTED = (
    "the proxy returned HTTP 407 Proxy Authentication Required: check the user name and the password in the proxy's URL"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("407 svc may not", REJECTED),
        ("407, message='svc may not', url='http://proxy.example:3128'", REJECTED),
        ("403 svc may not", "the proxy returned HTTP 403 Forbidden"),
        ("502 ", "the proxy returned HTTP 502 Bad Gateway"),
        ("599 svc", "the proxy returned HTTP 599"),
        ("Cannot connect to host proxy.example:407", None),
        ("4070 bytes", None),
        ("", None),
    ],
)
def test_a_response_of_the_proxy_is_told_by_its_status_and_not_by_its_own_words(
    text: str, expected: str | None
) -> None:
    assert proxy_failure(httpx.ProxyError(text)) == expected


@pytest.fixture
def socks() -> Iterator[None]:
    """Pretend that httpx's extra for SOCKS is installed."""
    with patch("wonder_payment._http.environment.find_spec", return_value=object()):
        yield


@pytest.mark.usefixtures("socks")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_cannot_be_used_by_aiohttp(scheme: str) -> None:
    url = f"{scheme}://proxy.example:1080"
    assert proxy(HTTPS_PROXY=url) == url
    with environment(HTTPS_PROXY=url), pytest.raises(ConfigurationError, match="cannot use a SOCKS proxy"):
        AsyncWonderClient("app", key(), environment="sandbox", transport="fast")


def test_aiohttp_needs_its_extra() -> None:
    with (
        patch.dict(sys.modules, {"aiohttp": None, "wonder_payment._http.fast_async": None}),
        pytest.raises(ConfigurationError, match=r"wonder-payment\[fast\]"),
    ):
        AsyncWonderClient("app", key(), environment="sandbox", transport="fast")


@for_both_clients
@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file or directory"), ("no PEM", "expected the path of a PEM file with certificates")],
)
def test_certificates_that_cannot_be_read_are_an_error_of_the_client(
    kind: Kind, content: str | None, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "certificates.pem"
    if content:
        file.write_text(content)
    with environment(SSL_CERT_FILE=str(file)), pytest.raises(ConfigurationError) as caught:
        kind("app", key(), environment="sandbox")
    assert caught.value.args == (f"SSL_CERT_FILE cannot be used: {problem}.",)


@for_both_clients
def test_a_folder_of_certificates_that_does_not_exist_is_an_error_of_the_client(kind: Kind, tmp_path: Path) -> None:
    missing, file = str(tmp_path / "missing"), tmp_path / "file"
    file.touch()
    for folders in (missing, str(file), os.pathsep.join([missing, str(file)])):
        with environment(SSL_CERT_DIR=folders), pytest.raises(ConfigurationError, match=r"^SSL_CERT_DIR must be"):
            kind("app", key(), environment="sandbox")
    with environment(SSL_CERT_DIR=os.pathsep.join([missing, str(tmp_path)])):
        assert certificates(ORIGIN).get_ca_certs() == []
    with trusted(SSL_CERT_DIR=missing):
        assert len(certificates(ORIGIN).get_ca_certs()) == 1


def test_a_key_log_is_not_written(tmp_path: Path) -> None:
    with environment(SSLKEYLOGFILE=str(tmp_path / "keys")):
        assert certificates(ORIGIN).keylog_filename is None
    with (
        environment(SSLKEYLOGFILE=str(tmp_path / "missing" / "keys")),
        pytest.raises(ConfigurationError, match=r"^SSLKEYLOGFILE cannot be used: No such file or directory\."),
    ):
        certificates(ORIGIN)


def test_certificates_are_those_of_the_environment() -> None:
    with authority().cert_pem.tempfile() as file, environment(SSL_CERT_FILE=file):
        assert len(certificates(ORIGIN).get_ca_certs()) == 1
    with environment():
        assert len(certificates(ORIGIN).get_ca_certs()) > 1


def test_plain_http_reads_no_certificates() -> None:
    with environment(SSL_CERT_FILE="/nonexistent"):
        assert certificates("http://127.0.0.1:8080").get_ca_certs() == []


# On the wire, for all transports.


@for_all_transports
def test_nobody_elses_credentials_are_sent(
    gateway: SimulatedGateway, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login svc password Tr0ub\ndefault login svc password Tr0ub\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    heads: list[bytes] = []
    response = GOOD.replace(b"\r\n", b"\r\nSet-Cookie: session=Tr0ub; Path=/\r\n", 1)
    with (
        a_server(recording(heads, response), None) as port,
        environment(HTTP_PROXY=f"http://svc:Tr0ub@127.0.0.1:{port}", ALL_PROXY=f"http://svc:Tr0ub@127.0.0.1:{port}"),
    ):
        caller_of(name, gateway, base_url=f"http://127.0.0.1:{port}").check(VERIFIED, times=2)
    sent = {line.partition(b":")[0].lower() for head in heads for line in head.splitlines()[1:]}
    ours = {b"credential", b"nonce", b"signature", b"x-request-id", b"user-agent"}
    plain = {b"host", b"accept", b"accept-encoding", b"connection", b"content-type", b"content-length"}
    assert len(heads) == 2
    assert ours <= sent <= ours | plain


@for_all_transports
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_environment_apply_to_a_gateway_on_loopback(
    gateway: SimulatedGateway, name: str, host: str, variable: str, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(file)
    place = tmp_path if variable == "SSL_CERT_DIR" else file
    # OpenSSL finds a certificate in a folder by the hash of its subject.
    subprocess.run(["openssl", "rehash", tmp_path], check=True)  # noqa: S607
    with a_server(good_tls(host), None) as port:
        base_url = f"https://{host}:{port}"
        with environment(**{variable: str(place)}, HTTPS_PROXY="http://127.0.0.1:1"):
            assert caller_of(name, gateway, base_url=base_url).check(VERIFIED).is_verified
        with (
            environment(),
            pytest.raises(NetworkError, match="unable to get local issuer certificate"),
        ):
            caller_of(name, gateway, base_url=base_url).check(VERIFIED)


@for_all_transports
def test_a_proxy_gets_its_password_and_the_gateway_does_not(gateway: SimulatedGateway, name: str) -> None:
    heads: list[bytes] = []
    with (
        a_server(connect_proxy(heads), None) as port,
        trusted(HTTPS_PROXY=f"http://svc:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"),
    ):
        assert caller_of(name, gateway, base_url=f"https://{NOWHERE}").check(VERIFIED).is_verified
    connect, check = heads
    assert connect.startswith(b"CONNECT %s:443 " % NOWHERE.encode())
    assert re.search(rb"(?im)^proxy-authorization: " + re.escape(CREDENTIALS) + rb"\r$", connect)
    assert b"proxy-authorization" not in check.lower()
    assert b"Credential" not in connect


@for_all_transports
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_rejects_a_password_leaves_no_part_of_it_in_the_error_and_the_logs(
    gateway: SimulatedGateway, name: str, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    # The certificate of an https proxy is checked like the gateway's.
    secure = over_tls(authority().issue_cert("127.0.0.1"), connect_proxy([]))
    with (
        caplog.at_level(logging.DEBUG),
        a_server(secure if scheme == "https" else connect_proxy([]), None) as port,
        trusted(HTTPS_PROXY=f"{scheme}://svc:Tr0ub%2F4dor@127.0.0.1:{port}"),
        pytest.raises(NetworkError, match="407") as caught,
    ):
        caller_of(name, gateway, base_url=f"https://{NOWHERE}").check(VERIFIED)
    report = TracebackException(type(caught.value), caught.value, caught.tb.tb_next, capture_locals=True)
    own = [record.getMessage() for record in caplog.records if record.name == "wonder_payment"]
    shown = "".join([str(caught.value), repr(caught.value), *report.format(), *own])
    assert not re.search("Tr0ub|4dor|not svc", shown)
    # httpcore logs the reason phrase, but not what was sent.
    assert base64.b64encode(b"svc:" + WRONG).decode() not in "".join([shown, *caplog.messages])
