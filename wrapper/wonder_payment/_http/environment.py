"""The proxy and the certificates that the environment names, for all transports. Nothing else is read from it."""

import ipaddress
import logging
import os
import re
import ssl
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.request import getproxies

import httpx

from wonder_payment.config import is_loopback
from wonder_payment.errors import ConfigurationError

logger = logging.getLogger("wonder_payment")

# An entry of NO_PROXY: an IPv6 address in brackets, a text without a colon, or an IPv6 address; perhaps with a port.
_ENTRY = re.compile(r"(?P<host>\[[^]]+\](/[0-9]+)?|[^:[\]]+|[^[\]]*:[^[\]]*:[^[\]]*)(:(?P<port>[0-9]{1,5}))?")

# A host, or with a dot in front the hosts below it.
_NAME = re.compile(r"(\*?\.)?[\w-]+(\.[\w-]+)*\.?")


def certificates(origin: str) -> ssl.SSLContext:
    """Return a TLS context with the trusted certificates. Loading them is slower than a check: do it once per client.

    Raises:
        ConfigurationError: ``SSL_CERT_FILE`` cannot be read, or ``SSL_CERT_DIR`` is not a folder. OpenSSL searches the
            folder only during a handshake, so a folder of other files fails there.
    """
    if not origin.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no TLS, nothing to trust
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if folders and not file and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        raise ConfigurationError("SSL_CERT_DIR is not a folder.", attempts=0)
    try:
        context = httpx.create_ssl_context()
    except OSError as error:
        is_key_log = error.filename is not None and error.filename == os.environ.get("SSLKEYLOGFILE")
        subject = (
            "SSLKEYLOGFILE cannot be written" if is_key_log else "The certificates of SSL_CERT_FILE cannot be read"
        )
        problem = error.strerror or type(error).__name__
    else:
        context.keylog_filename = None  # type: ignore[assignment]
        return context
    raise ConfigurationError(f"{subject}: {problem}.", attempts=0)


def proxy_setting(scheme: str) -> tuple[str, str]:
    """Return the variable that names the proxy for a scheme, and the proxy's URL; both are empty if there is none.

    `urllib.request.getproxies` reads the variables, and the system's settings on macOS and Windows.
    """
    proxies = getproxies()
    kind = scheme if proxies.get(scheme) else "all"
    url = proxies.get(kind, "")
    names = [name for name in os.environ if name.lower() == f"{kind}_proxy" and os.environ[name] == url]
    return (names[0] if names else "this system", url) if url else ("", "")


def environment_proxy(origin: str) -> httpx.Proxy | None:
    """Return the proxy for a gateway; None if requests go there directly. A loopback host is never behind a proxy.

    Raises:
        ConfigurationError: The proxy's URL cannot be used. The message names the variable and quotes nothing of it.
    """
    gateway = httpx.URL(origin)
    variable, url = proxy_setting(gateway.scheme)
    if not url or is_loopback(gateway.host) or _is_excluded(gateway, getproxies().get("no", "")):
        return None
    try:
        proxy = _proxy(url)
    except (httpx.InvalidURL, ValueError):
        # The library's own message would quote a part of the password.
        problem = "its URL must be http://host:port, with special characters percent-encoded"
    else:
        if not proxy.url.scheme.startswith("socks") or find_spec("socksio"):
            return proxy
        problem = "SOCKS needs `pip install 'httpx[socks]'`"
    raise ConfigurationError(f"The proxy of {variable} cannot be used: {problem}.", attempts=0)


def _proxy(url: str) -> httpx.Proxy:
    """Return the proxy with this URL.

    Raises:
        ValueError: The URL cannot be used; or `httpx.InvalidURL`.
    """
    proxy = httpx.Proxy(url if "://" in url else f"http://{url}")
    host, port = proxy.url.host, proxy.url.port
    host.encode("idna")  # fails here as it would when the name is looked up
    # "http://user:12/34@proxy" is the proxy "user:12" with a path: half a password would be shown as its address.
    has_more = proxy.url.raw_path != b"/" or proxy.url.fragment
    if has_more or not host or not (port is None or 0 < port < 2**16) or ":" in (proxy.auth or ("",))[0]:
        raise ValueError
    if proxy.url.scheme == "https":
        proxy.ssl_context = certificates(str(proxy.url))
    return proxy


def _is_excluded(origin: httpx.URL, no_proxy: str) -> bool:
    """Return whether an entry of ``NO_PROXY`` is about this host."""
    port = origin.port or {"http": 80, "https": 443}[origin.scheme]
    for number, entry in enumerate(filter(None, re.split(r"[\s,]+", no_proxy.lower())), 1):
        parts = _ENTRY.fullmatch(entry)
        is_match = parts and _matches(re.sub(r"[][]", "", parts["host"]), origin.host.rstrip("."))
        if parts is None or is_match is None:
            logger.debug("entry %d of NO_PROXY was skipped: it is not a host, an address or a network", number)
        elif is_match and parts["port"] in (None, str(port)):
            return True
    return False


def _matches(pattern: str, host: str) -> bool | None:
    """Return whether a pattern is about a host; None if it is not a pattern."""
    if pattern == "*":
        return True
    with suppress(ValueError):  # not a network
        network = ipaddress.ip_network(pattern, strict=False)
        return _is_address(host) and ipaddress.ip_address(host) in network
    if not _NAME.fullmatch(pattern):
        return None
    # ".example.com" and "*.example.com" are the hosts below it; "example.com" is the host itself, too.
    suffix = pattern.removeprefix("*").rstrip(".")
    is_below = host.endswith(suffix if suffix.startswith(".") else f".{suffix}")
    return not _is_address(host) and (is_below or host == suffix)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
