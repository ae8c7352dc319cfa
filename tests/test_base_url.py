"""environment= and base_url= become the origin of the gateway."""

from typing import Any

import httpx
import pytest
from conftest import Kind, for_both_clients, key
from good_settings import EXAMPLE, PRODUCTION, SANDBOX
from wonder_payment import ConfigurationError, Environment
from wonder_payment.config import checked_origin, resolved_origin


@pytest.mark.parametrize(
    ("environment", "base_url", "origin"),
    [
        ("sandbox", None, SANDBOX),
        ("production", None, PRODUCTION),
        (Environment.SANDBOX, None, SANDBOX),
        (Environment.PRODUCTION, None, PRODUCTION),
        ("production", EXAMPLE, EXAMPLE),
        (None, EXAMPLE, EXAMPLE),
        (None, f"{EXAMPLE}/", EXAMPLE),
        (None, "HTTPS://Gateway.Example", EXAMPLE),
        (None, "https://gateway.example:443", EXAMPLE),
        (None, "HTTPS://gateway.example:443", EXAMPLE),
        (None, "HTTP://127.0.0.1:80", "http://127.0.0.1"),
        (None, "https://GATEWAY.example:8443", "https://gateway.example:8443"),
        (None, "https://10.0.0.1", "https://10.0.0.1"),
        (None, "https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
        (None, "https://gateway_1.internal", "https://gateway_1.internal"),
        (None, "https://gätewäy.example", "https://xn--gtewy-grad.example"),
        (None, "https://應用.example", f"https://{'應用'.encode('idna').decode()}.example"),
        (None, "https://localhost:1", "https://localhost:1"),
        (None, "http://localhost", "http://localhost"),
        (None, "http://LOCALHOST:8000", "http://localhost:8000"),
        (None, "http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        (None, "http://127.0.0.5", "http://127.0.0.5"),
        (None, "http://[::1]:65535", "http://[::1]:65535"),
    ],
)
def test_the_origin_is_that_of_the_base_url_or_else_of_the_environment(
    environment: Any, base_url: Any, origin: str
) -> None:
    assert resolved_origin(environment, base_url) == origin


@pytest.mark.parametrize("environment", ["", "Sandbox", "PRODUCTION", " sandbox", "staging", True, 1, []])
@pytest.mark.parametrize("base_url", [None, EXAMPLE])
def test_a_wrong_environment_is_an_error_with_and_without_a_base_url(environment: Any, base_url: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"environment= must be (one of sandbox,|sandbox or) production"):
        resolved_origin(environment, base_url)


@for_both_clients
def test_the_environment_has_no_default(kind: Kind) -> None:
    with pytest.raises(ConfigurationError, match="there is no default"):
        kind("app", key())
    assert EXAMPLE in repr(kind("app", key(), base_url=EXAMPLE))


def test_an_environment_has_the_base_url_of_its_gateway() -> None:
    assert {kind.value: kind.base_url for kind in Environment} == {"sandbox": SANDBOX, "production": PRODUCTION}


WRONG_URLS: dict[str, list[Any]] = {
    "not https": [
        *("http://gateway.example", "http://gateway.wonder.today:443", "http://10.0.0.1", "http://0.0.0.0:8000"),
        *(
            "http://[::2]",
            "http://localhost.another.example",
            "http://127.0.0.1.another.example",
            "http://notlocalhost",
        ),
        *("http://127.0.0.1.", "http://localhost.", "http://127.1", "http://2130706433", "http://0x7f000001"),
        *("http://ⓛocalhost", "http://localhost\u3002example", "http://[::1%25lo]", "https\u017f://gateway.example"),
        *("ftp://gateway.example", "wss://gateway.example", "javascript://gateway.example", "hhttps://gateway.example"),
        "file:///etc/hosts",
    ],
    "no scheme or no host": [
        *("https://", "https:///", "//gateway.example", "gateway.example", "gateway.example:443", "localhost:8000"),
        *("/", "", "nonsense", "https:gateway.example", "https:/gateway.example", "https:\\\\gateway.example"),
    ],
    "more than scheme, host and port": [
        *("https://user@gateway.example", "https://user:hunter2@gateway.example", "http://localhost@another.example"),
        *("https://gateway.wonder.today@another.example", "https://gateway.example\\@another.example"),
        *(f"{EXAMPLE}?a=hunter2", f"{EXAMPLE}/?a=hunter2", f"{EXAMPLE}?", f"{EXAMPLE}/?", f"{EXAMPLE}#hunter2"),
        *(f"{EXAMPLE}#", f"{EXAMPLE}/svc", f"{EXAMPLE}/svc/", f"{EXAMPLE}//", f"{EXAMPLE}/%2e", f"{EXAMPLE}/a/b"),
    ],
    "no port": [
        *(f"{EXAMPLE}:https", f"{EXAMPLE}:-1", f"{EXAMPLE}:99999", f"{EXAMPLE}:0", f"{EXAMPLE}:0x1bb"),
        *(f"{EXAMPLE}:443:443", f"{EXAMPLE}: 443", f"{EXAMPLE}:+443", f"{EXAMPLE}:\uff14\uff14\uff13"),
    ],
    "no host name": [
        *("https://gateway.example;hunter2", "https://gateway.example,another.example", "https://$GATEWAY"),
        *("https://{host}", "https://<host>", "https://*.example", 'https://gate"way.example'),
        *("https://gate|way.example", "https://gate`way.example", "https://gate way.example", f" {EXAMPLE}"),
        *("https://..", "https://gateway..example", "https://.gateway.example", "https://xn--a"),
        *("https://xn--zzzzzz.com", f"https://{'a' * 64}.example", f"https://{'a.' * 127}example"),
        *(f"https://{'ä' * 60}.example", f"https://{'a' * 70_000}", "https://\ud800", "https://gateway\uff0fexample"),
        *("https://gateway\uff20example", "https://gateway.example\uff1a443"),
    ],
    "no address": [
        *("https://[::1", "https://[nonsense]", "https://[::1]x", "https://::1", "https://[gateway.example]"),
        *("https://[v1.hunter2]", "https://[fe80::1%25eth0]", "https://[fe80::1%eth0]"),
    ],
    "invisible characters": [
        *(f"{EXAMPLE}\r\nX-Evil: 1", f"{EXAMPLE}\n", "https://gateway\0.example", "https://gate\u200bway.example"),
        *("https://gate\u00adway.example", f"{EXAMPLE}\u2028", f"{EXAMPLE}\x85", f"{EXAMPLE}\x1b[31m"),
    ],
    "no text": [b"https://gateway.example", 5, True, [EXAMPLE], httpx.URL(EXAMPLE)],
}


@pytest.mark.parametrize(
    "base_url",
    [
        pytest.param(url, id=f"{what}: {ascii(url)[:40].replace('0x', 'hex ')}")
        for what, urls in WRONG_URLS.items()
        for url in urls
    ],
)
def test_a_base_url_is_https_or_loopback_and_nothing_but_scheme_host_and_port(base_url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        checked_origin(base_url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
