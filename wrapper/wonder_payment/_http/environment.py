"""The proxy and the certificates of all transports: a client's arguments, or else what the environment names.

Nothing else is read from the environment.
"""

import ipaddress
import logging
import os
import re
import ssl
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import httpx

from wonder_payment.config import is_loopback, plain_text
from wonder_payment.errors import ConfigurationError

logger = logging.getLogger("wonder_payment")

# An entry of NO_PROXY: an IPv6 address in brackets, a text without a colon, or an IPv6 address; perhaps with a port.
_ENTRY = re.compile(r"(?P<host>\[[^]]+\](/[0-9]+)?|[^:[\]]+|[^[\]]*:[^[\]]*:[^[\]]*)(:(?P<port>[0-9]{1,5}))?")

# A host, or with a dot in front the hosts below it.
_NAME = re.compile(r"(\*?\.)?[\w-]+(\.[\w-]+)*\.?")


def network_options(
    origin: str, *, proxy: object = None, ca_file: object = None, client_certificate: object = None
) -> dict[str, Any]:
    """Return the options of a transport: the TLS context, for the gateway and an https proxy, and the proxy.

    Raises:
        ConfigurationError: An argument or a variable is wrong. The message names it and quotes no secret.
    """
    found = environment_proxy(origin) if proxy is None else _proxy("proxy=", plain_text(proxy) or "")
    if proxy is not None and found and origin.startswith("http:") and not is_loopback(found.url.host):
        problem = "proxy= must be on a loopback host if base_url= is http: plain http must stay on this machine."
        raise ConfigurationError(problem, attempts=0)
    secure = found if found and found.url.scheme == "https" else None
    context = certificates("https:" if secure else origin, ca_file)
    if client_certificate is not None:
        _load_client_certificate(context, client_certificate)
    if secure:
        secure.ssl_context = context
    return {"verify": context, "proxy": found}


def certificates(origin: str, ca_file: object = None) -> ssl.SSLContext:
    """Return a TLS context with the trusted certificates. Loading them is slower than a check: do it once per client.

    Raises:
        ConfigurationError: ``ca_file`` or ``SSL_CERT_FILE`` cannot be read, or ``SSL_CERT_DIR`` is not a folder.
            OpenSSL searches the folder only during a handshake, so a folder of other files fails there.
    """
    given = None if ca_file is None else _path("ca_file= must be the path of an existing file.", ca_file)
    if not given and not origin.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no TLS, nothing to trust
    file, folders = given or os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if folders and not file and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        raise ConfigurationError("SSL_CERT_DIR must be an existing folder.", attempts=0)
    try:
        context = ssl.create_default_context(cafile=given) if given else httpx.create_ssl_context()
    except OSError as error:
        is_key_log = error.filename is not None and error.filename == os.environ.get("SSLKEYLOGFILE")
        source = "ca_file=" if given else "SSL_CERT_FILE"
        subject = "SSLKEYLOGFILE cannot be written" if is_key_log else f"The certificates of {source} cannot be read"
        problem = error.strerror or type(error).__name__
    else:
        context.keylog_filename = None  # type: ignore[assignment]
        return context
    raise ConfigurationError(f"{subject}: {problem}.", attempts=0)


def _path(required: str, value: object) -> str:
    # Nothing of it is quoted: it may be a key, or a password in a wrong place.
    text = plain_text(str(value) if issubclass(type(value), Path) else value)
    if not text or not os.path.exists(text):  # noqa: PTH110 (unlike Path.exists, it raises nothing)
        raise ConfigurationError(required, attempts=0)
    return text


def _load_client_certificate(context: ssl.SSLContext, value: Any) -> None:
    match value:
        case (file, key, str() | bytes() as password):
            pass
        case (file, key):
            password = ""
        case file:
            key, password = file, ""
    required = "client_certificate= must be the path of an existing file, or a tuple of two and an optional password."
    file, key = _path(required, file), _path(required, key)
    try:
        # Without any password, OpenSSL would prompt for one on the terminal.
        context.load_cert_chain(file, key, password)
    except (OSError, ValueError) as error:
        problem = "expected PEM, a certificate and its own key, with the key's password if it is encrypted"
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            problem = error.strerror or type(error).__name__
    else:
        return
    raise ConfigurationError(f"client_certificate= cannot be used: {problem}.", attempts=0)


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


def _proxy(name: str, url: str) -> httpx.Proxy:
    """Return the proxy with this URL.

    Raises:
        ConfigurationError: The URL cannot be used. The message names its setting and quotes nothing of it.
    """
    try:
        proxy = _parsed_proxy(url)
    except (httpx.InvalidURL, ValueError):
        # The library's own message would quote a part of the password.
        problem = "its URL must be http://host:port, with special characters percent-encoded"
    else:
        if not proxy.url.scheme.startswith("socks") or find_spec("socksio"):
            return proxy
        problem = "a SOCKS proxy needs `pip install 'httpx[socks]'`"
    raise ConfigurationError(f"The proxy from {name} cannot be used: {problem}.", attempts=0)


def _parsed_proxy(url: str) -> httpx.Proxy:
    """Return the proxy with this URL.

    Raises:
        ValueError: The URL cannot be used; or `httpx.InvalidURL`.
    """
    proxy = httpx.Proxy(url)
    host, port = proxy.url.host, proxy.url.port
    host.encode("idna")  # fails here as it would when the name is looked up
    # "http://user:12/34@proxy" is the proxy "user:12" with a path: half a password would be shown as its address.
    has_more = proxy.url.raw_path != b"/" or proxy.url.fragment
    if has_more or not host or not (port is None or 0 < port < 2**16) or ":" in (proxy.auth or ("",))[0]:
        raise ValueError
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
