"""squid as a forward proxy that asks for a password, between the client and nginx."""

import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from commands import VERIFIED
from conftest import Caller
from crashes import crash_report
from peers.serving import Nginx, free_port, serving
from wonder_payment import NetworkError, RetryPolicy

USER, PASSWORD, WRONG = "svc-pay", "Tr0ub/4dor&3", "Wr0ng/Horse&Battery"
PASSWORDS = f"{USER}:$apr1$peers$hUE3PKjw/EI7nkJOXaviM.\n"  # from openssl passwd -apr1

# Only squid resolves gateway.test: a client never reaches a loopback host through a proxy.
SQUID = """
http_port 127.0.0.1:{port}
hosts_file {folder}/hosts
auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/passwords
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
access_log none
cache deny all
cache_log /dev/null
pid_filename none
pinger_enable off
max_filedescriptors 1024
"""


@pytest.fixture
def squid() -> Iterator[int]:
    # squid and its helper give up root's rights, and cannot read pytest's temporary folders.
    with TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        (folder / "hosts").write_text("127.0.0.1 gateway.test\n")
        (folder / "passwords").write_text(PASSWORDS)
        (folder / "squid.conf").write_text(SQUID.format(folder=folder, port=port))
        with serving(["squid", "-N", "-d1", "-f", str(folder / "squid.conf")], folder, port):
            yield port


def use(monkeypatch: pytest.MonkeyPatch, port: int, password: str) -> None:
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{quote(password, safe='')}@127.0.0.1:{port}")


def test_requests_go_through_the_proxy(
    nginx: Nginx, squid: int, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, squid, PASSWORD)
    assert caller.check(VERIFIED, times=2, base_url=f"https://gateway.test:{nginx.port}").is_verified
    assert len(nginx.seen()) == 2


def test_a_wrong_password_is_named_and_neither_shown_nor_sent_again(
    nginx: Nginx, squid: int, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, squid, WRONG)
    with pytest.raises(NetworkError, match=r"HTTP 407 Proxy Authentication Required") as caught:
        caller.check(VERIFIED, base_url=f"https://gateway.test:{nginx.port}", retry=RetryPolicy())
    assert (caught.value.is_transient, caught.value.attempts) == (False, 1)
    shown = "\n".join(crash_report(caught.value))
    encoded = b64encode(f"{USER}:{WRONG}".encode()).decode()
    secrets = [USER, *re.split(r"\W", WRONG), quote(WRONG, safe=""), encoded]
    assert [secret for secret in secrets if secret in shown] == []
    assert nginx.seen() == []
