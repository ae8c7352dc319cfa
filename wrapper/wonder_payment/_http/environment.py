"""The proxy and the certificates of all transports: a client's arguments, or else what the environment names.

Nothing else is read from the environment.
"""

import ipaddress
import logging
import os
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import httpx

from wonder_payment.config import address_of, is_loopback, parsed_url, plain_text, require
from wonder_payment.errors import ConfigurationError

logger = logging.getLogger("wonder_payment")

# An entry of NO_PROXY: an IPv6 address in brackets, a text without a colon, or an IPv6 address; perhaps with a port.
_ENTRY = re.compile(r"(?P<host>\[[^]]+\](/[0-9]+)?|[^:[\]]+|[^[\]]*:[^[\]]*:[^[\]]*)(:(?P<port>[0-9]{1,5}))?")

# `*` (all hosts), a host, or, with a leading dot, the hosts below it.
_NAME = re.compile(r"\*|(\*?\.)?[\w-]+(\.[\w-]+)*\.?")

_SCHEMES = {"http", "https", "socks5", "socks5h"}


def network_options(
    origin: str, *, proxy: object = None, ca_file: object = None, client_certificate: object = None
) -> dict[str, Any]:
    """Return the options of a transport: the TLS context, for the gateway and an https proxy, and the proxy.

    Raises:
        ConfigurationError: An argument or a variable is wrong. The message names it and quotes no secret.
    """
    found = environment_proxy(origin) if proxy is None else _proxy("proxy=", plain_text(proxy) or "")
    is_local = not found or origin.startswith("https:") or is_loopback(found.url.host)
    require(is_local, "With an http base_url=, proxy= must be on a loopback host", proxy)
    secure = found if found and found.url.scheme == "https" else None
    context = certificates("https:" if secure else origin, ca_file)
    if client_certificate is not None:
        _load_client_certificate(context, client_certificate)
    if secure:
        secure.ssl_context = context
    return {"verify": context, "proxy": found}


def certificates(origin: str, ca_file: Any = None) -> ssl.SSLContext:
    """Return a TLS context with the trusted certificates. Loading them is slower than a check: do it once per client.

    Raises:
        ConfigurationError: ``ca_file`` or ``SSL_CERT_FILE`` cannot be read, or ``SSL_CERT_DIR`` is not a folder.
            OpenSSL searches the folder only during a handshake, so a folder of other files fails there.
    """
    require(ca_file is None or ca_file, "ca_file= must be the path of a PEM file", ca_file)
    if not ca_file and not origin.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no TLS, nothing to trust
    folders = os.environ.get("SSL_CERT_DIR", "")
    is_unused = ca_file or os.environ.get("SSL_CERT_FILE") or not folders
    is_there = is_unused or any(Path(folder).is_dir() for folder in folders.split(os.pathsep))
    require(is_there, "SSL_CERT_DIR must be an existing folder", folders)
    load = partial(ssl.create_default_context, cafile=ca_file) if ca_file else httpx.create_ssl_context
    name = "ca_file=" if ca_file else "SSL_CERT_FILE"
    context: ssl.SSLContext = _loaded(name, "the path of a PEM file with certificates", load)
    context.keylog_filename = None  # type: ignore[assignment]
    return context


def _load_client_certificate(context: ssl.SSLContext, value: Any) -> None:
    expected = "a PEM file with certificate and key, or a tuple: certificate, key and any password of the key"
    is_tuple = issubclass(type(value), tuple | list) and len(value) in {2, 3}
    file, key, *rest = value if is_tuple else (value, value)
    password = rest[0] if rest else ""  # without any, OpenSSL would prompt for one on the terminal
    require(isinstance(password, str | bytes), f"client_certificate= must be {expected}", password)
    _loaded("client_certificate=", expected, partial(context.load_cert_chain, file, key, password))


def _loaded(name: str, expected: str, load: Callable[[], Any]) -> Any:
    """Return what a function loads from a file.

    Raises:
        ConfigurationError: The file cannot be loaded. The message does not quote the path, because it may be a key or a
            password.
    """
    try:
        return load()
    except (ssl.SSLError, TypeError, ValueError):
        problem = f"expected {expected}"
    except OSError as error:
        # Only the error about a key log has a file name.
        name = "SSLKEYLOGFILE" if error.filename else name
        problem = error.strerror or type(error).__name__
    raise ConfigurationError(f"{name} cannot be used: {problem}.", attempts=0)


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
    return _proxy(variable, url if "://" in url else f"http://{url}")


def _proxy(name: str, text: str) -> httpx.Proxy:
    """Return the proxy with this URL.

    Raises:
        ConfigurationError: The URL cannot be used. The message names its setting and quotes nothing of it.
    """
    url = parsed_url(text)
    # "http://user:12/34@proxy" is the proxy "user:12" with a path: half a password would be shown as its address.
    if not url or url.raw_path != b"/" or url.fragment or ":" in url.username or url.scheme not in _SCHEMES:
        problem = "its URL must be http://host:port, with special characters percent-encoded"
    elif url.scheme.startswith("socks") and not find_spec("socksio"):
        problem = "a SOCKS proxy needs `pip install 'httpx[socks]'`"
    else:
        return httpx.Proxy(url)
    raise ConfigurationError(f"The proxy from {name} cannot be used: {problem}.", attempts=0)


def _is_excluded(gateway: httpx.URL, no_proxy: str) -> bool:
    """Return whether an entry of ``NO_PROXY`` is about this gateway."""
    for number, entry in enumerate(re.findall(r"[^\s,]+", no_proxy.lower()), 1):
        parts = _ENTRY.fullmatch(entry)
        is_match = parts and _matches(re.sub(r"[][]", "", parts["host"]), gateway.host.rstrip("."))
        if parts is None or is_match is None:
            logger.debug("entry %d of NO_PROXY was skipped: it is not a host, an address or a network", number)
        elif is_match and parts["port"] in (None, str(gateway.port or 443)):  # only an https gateway has a proxy
            return True
    return False


def _matches(pattern: str, host: str) -> bool | None:
    """Return whether a pattern is about a host; None if it is not a pattern."""
    address = address_of(host)
    if _NAME.fullmatch(pattern):
        # ".example.com" and "*.example.com" are the hosts below it; "example.com" is the host itself, too.
        suffix = pattern.strip("*.")
        return not suffix or host == pattern.rstrip(".") or (not address and host.endswith(f".{suffix}"))
    with suppress(ValueError):
        network = ipaddress.ip_network(pattern, strict=False)
        return address is not None and address in network
    return None
