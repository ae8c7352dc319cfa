"""The proxy and the certificates that the environment names, for all transports."""

import ipaddress
import logging
import re
import ssl
from importlib.util import find_spec
from urllib.request import getproxies

import httpx

from wonder_payment.config import is_loopback
from wonder_payment.errors import ConfigurationError

logger = logging.getLogger("wonder_payment")

# An entry of NO_PROXY: a host, an address or a network, perhaps with a port.
_ENTRY = re.compile(r"(?P<host>\[[0-9a-f:.%]+\]|[^\s:\[\]]+|[0-9a-f:./]+)(:(?P<port>[0-9]{1,5}))?")


def certificates(origin: str) -> ssl.SSLContext:
    """Return a TLS context with the trusted certificates. Loading them is slower than a check: do it once per client.

    Raises:
        ConfigurationError: ``SSL_CERT_FILE`` cannot be read. OpenSSL searches ``SSL_CERT_DIR`` only during a handshake,
            so with a wrong folder each connection fails because its certificate cannot be verified.
    """
    if not origin.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no TLS, nothing to trust
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        problem = error.strerror or type(error).__name__
    raise ConfigurationError(f"The certificates of SSL_CERT_FILE cannot be read: {problem}.")


def environment_proxy(origin: str) -> httpx.Proxy | None:
    """Return the proxy for a gateway; None if requests go there directly.

    `urllib.request.getproxies` reads the variables, and the system's settings on macOS and Windows. A loopback host is
    never reached through a proxy.

    Raises:
        ConfigurationError: The proxy's URL cannot be used. The message names the variable and quotes nothing of it.
    """
    gateway, proxies = httpx.URL(origin), getproxies()
    scheme = gateway.scheme if proxies.get(gateway.scheme) else "all"
    url = proxies.get(scheme)
    if not url or is_loopback(gateway.host) or _is_excluded(gateway, proxies.get("no", "")):
        return None
    try:
        proxy = httpx.Proxy(url if "://" in url else f"http://{url}")
    except (httpx.InvalidURL, ValueError):
        # The library's own message would quote a part of the password.
        problem = "is not the URL of a proxy: expected http://host:port, with special characters percent-encoded"
    else:
        if not proxy.url.scheme.startswith("socks") or find_spec("socksio"):
            return proxy
        problem = "is a SOCKS proxy, which needs `pip install 'httpx[socks]'`"
    raise ConfigurationError(f"{scheme.upper()}_PROXY {problem}.")


def _is_excluded(origin: httpx.URL, no_proxy: str) -> bool:
    """Return whether an entry of ``NO_PROXY`` is about this host."""
    port = origin.port or {"http": 80, "https": 443}[origin.scheme]
    for entry in filter(None, re.split(r"[\s,]+", no_proxy.lower())):
        if entry == "*":
            return True
        parts = _ENTRY.fullmatch(entry)
        if parts is None:
            logger.debug("an entry of NO_PROXY was skipped: it is not a host, an address or a network")
        elif _matches(parts["host"].strip("[]"), origin.host) and parts["port"] in (None, str(port)):
            return True
    return False


def _matches(pattern: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        # ".example.com" and "*.example.com" are the hosts below it; "example.com" is the host itself, too.
        suffix = pattern.removeprefix("*")
        return host.endswith(suffix if suffix.startswith(".") else f".{suffix}") or host == suffix
