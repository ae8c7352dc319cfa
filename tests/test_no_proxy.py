"""NO_PROXY: the hosts, addresses and networks that are reached directly."""

import logging

import pytest
from proxies import ORIGIN, PROXY, proxy


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
