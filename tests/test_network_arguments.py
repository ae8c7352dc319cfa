"""proxy=, ca_file= and client_certificate= of both clients, in place of the environment's proxy and certificates."""

import inspect
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from conftest import Kind, for_both_clients, key
from crashes import crash_report
from faults.servers import environment
from proxies import BAD_URL, BAD_URLS, ORIGIN, PROXY
from tls_files import SECRET, of_files, write_files
from wonder_payment import AsyncWonderClient, ConfigurationError, WonderClient
from wonder_payment._http.environment import network_options
from wonder_payment.config import Settings

LOCAL = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return write_files(tmp_path_factory.mktemp("tls"))


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


PEM = "a PEM file with certificate and key, or a tuple: certificate, key and any password of the key"
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
    with pytest.raises(ConfigurationError, match="With an http base_url=, proxy= must be on a loopback host") as caught:
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
    assert caught.value.args == (f"transport= is your own, which ignores {setting}=. Configure it in the transport.",)
    assert SECRET not in "".join(crash_report(caught.value))


def test_from_env_takes_every_argument_of_a_client() -> None:
    taken = set(inspect.signature(WonderClient.__init__).parameters) - {"self"}
    assert taken == Settings.__optional_keys__
    assert set(BAD) < taken
