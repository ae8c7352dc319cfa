"""HTTPS_PROXY and ALL_PROXY, and credentials of the environment that nobody may get."""

import base64
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import TracebackException
from unittest.mock import patch
from urllib.parse import quote

import httpx
import pytest
from conftest import Kind, caller_of, for_all_transports, for_both_clients, key
from faults.servers import GOOD, NOWHERE, VERIFIED, a_server, authority, environment, over_tls, trusted
from proxies import BAD_URL, BAD_URLS, CREDENTIALS, ORIGIN, PASSWORD, PROXY, WRONG, connect_proxy, proxy, recording
from wonder_payment import AsyncWonderClient, ConfigurationError, NetworkError
from wonder_payment._http.environment import environment_proxy
from wonder_payment._http.failures import proxy_failure
from wonder_payment.simulator import SimulatedGateway


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
