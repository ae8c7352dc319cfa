"""Proxy and certificate settings of the environment."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from conftest import Kind, for_both_clients, key
from faults.making import authority, environment
from wonder_payment import AsyncWonderClient, ConfigurationError
from wonder_payment._http.environment import certificates, environment_proxy

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
    ],
    ids=str,
)
def test_the_proxy_is_that_of_the_scheme_or_of_all_schemes(variables: dict[str, str], url: str | None) -> None:
    assert proxy(**variables) == url


def test_a_proxy_has_the_user_and_the_password_of_its_url() -> None:
    with environment(HTTPS_PROXY="http://user:p%40ss@proxy.example:3128"):
        found = environment_proxy(ORIGIN)
    assert found
    assert (str(found.url), found.raw_auth) == (PROXY, (b"user", b"p@ss"))


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "https://localhost", "https://[::1]:8443"])
def test_a_loopback_host_is_reached_directly(origin: str) -> None:
    assert proxy(origin, ALL_PROXY=PROXY) is None


IPV4, IPV6 = "https://10.1.2.3", "https://[2001:db8::1]"
EXCLUDED = {
    ORIGIN: [
        *("*", "gateway.example", "GATEWAY.EXAMPLE", "other.example, gateway.example", "other.example gateway.example"),
        *("example", ".example", "*.example", "gateway.example:443", "::::, gateway.example"),
    ],
    f"{ORIGIN}:8443": ["gateway.example", "gateway.example:8443"],
    IPV4: ["10.1.2.3", "10.1.2.3:443", "10.0.0.0/8", "10.1.2.99/24"],
    IPV6: ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443", "2001:db8::/32"],
}
INCLUDED = {
    ORIGIN: [
        *(".gateway.example", "way.example", "gateway.example.org", "gateway.example:8443", "https://gateway.example"),
        *("", " , "),
    ],
    IPV4: ["11.0.0.0/8", "10.1.2.3:80"],
    IPV6: ["2001:db9::/32"],
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


BAD_URL = "_PROXY is not the URL of a proxy: expected http://host:port, with special characters percent-encoded."


@for_both_clients
@pytest.mark.parametrize(
    ("name", "url", "problem"),
    [
        ("HTTPS_PROXY", "ftp://proxy.example", f"HTTPS{BAD_URL}"),
        ("https_proxy", "gopher://secret.example", f"HTTPS{BAD_URL}"),
        ("ALL_PROXY", "http://[::1", f"ALL{BAD_URL}"),
        ("HTTPS_PROXY", "http://user:sec/ret@proxy.example:3128", f"HTTPS{BAD_URL}"),
        ("HTTPS_PROXY", "http://proxy.example:port", f"HTTPS{BAD_URL}"),
        (
            "ALL_PROXY",
            "socks5://proxy.example",
            "ALL_PROXY is a SOCKS proxy, which needs `pip install 'httpx[socks]'`.",
        ),
    ],
)
def test_a_proxy_that_cannot_be_used_is_an_error_of_the_client_that_names_the_variable_and_quotes_nothing(
    kind: Kind, name: str, url: str, problem: str
) -> None:
    with environment(**{name: url}), pytest.raises(ConfigurationError) as caught:
        kind("app", key(), environment="sandbox")
    assert caught.value.args == (problem,)


@pytest.fixture
def socks() -> Iterator[None]:
    """Pretend that httpx's extra for SOCKS is installed."""
    with patch("wonder_payment._http.environment.find_spec", return_value=object()):
        yield


@pytest.mark.usefixtures("socks")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_needs_httpx_and_not_aiohttp(scheme: str) -> None:
    url = f"{scheme}://proxy.example:1080"
    assert proxy(HTTPS_PROXY=url) == url
    with environment(HTTPS_PROXY=url), pytest.raises(ConfigurationError, match="'aiohttp' cannot use a SOCKS proxy"):
        AsyncWonderClient("app", key(), environment="sandbox", transport="aiohttp")


def test_aiohttp_needs_its_extra() -> None:
    with (
        patch.dict(sys.modules, {"httpx_aiohttp": None}),
        pytest.raises(ConfigurationError, match=r"wonder-payment\[a"),
    ):
        AsyncWonderClient("app", key(), environment="sandbox", transport="aiohttp")


@for_both_clients
@pytest.mark.parametrize(("content", "problem"), [(None, "No such file or directory"), ("no PEM", r"\[X509.*")])
def test_certificates_that_cannot_be_read_are_an_error_of_the_client(
    kind: Kind, content: str | None, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "certificates.pem"
    if content:
        file.write_text(content)
    with environment(SSL_CERT_FILE=str(file)), pytest.raises(ConfigurationError) as caught:
        kind("app", key(), environment="sandbox")
    told = f"The certificates of SSL_CERT_FILE cannot be read: {problem}\\."
    assert re.fullmatch(told, str(caught.value.args[0]))


def test_certificates_are_those_of_the_environment() -> None:
    with authority().cert_pem.tempfile() as file, environment(SSL_CERT_FILE=file):
        assert len(certificates(ORIGIN).get_ca_certs()) == 1
    with environment():
        assert len(certificates(ORIGIN).get_ca_certs()) > 1


def test_plain_http_reads_no_certificates() -> None:
    with environment(SSL_CERT_FILE="/nonexistent"):
        assert certificates("http://127.0.0.1:8080").get_ca_certs() == []
