"""Arguments become checked values. Nothing is guessed, and nothing is sent."""

import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, cast
from uuid import UUID

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ._redact import redact
from .errors import ConfigurationError, InvalidTokenError, WonderError
from .events import AttemptEvent
from .protocols import Signer
from .retry import PollPolicy, RetryPolicy, number

__all__ = ["ClientCertificate", "Environment", "Settings"]

# The path of a PEM file with certificate and key; or the paths of both, perhaps with the password of the key.
ClientCertificate: TypeAlias = str | Path | tuple[str | Path, str | Path] | tuple[str | Path, str | Path, str | bytes]

LANGUAGES = ("en", "zh-HK", "zh-CN")

# Visible ASCII except the slash, which separates the fields of the Credential header.
_APP_ID = re.compile(r"[!-.0-~]+")

# Scheme, host and port only; the host is checked after httpx has encoded it in ASCII.
_ORIGIN = re.compile(r"[a-z]+://(\[[^\]/?#@%]+\]|[^/?#@%:\\\s\0-\x1f]+)(:[0-9]{1,5})?/?", re.IGNORECASE)

_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.?")

# What a message may quote: words and URLs, without digits that a passphrase may have, and without credentials.
_QUOTABLE = re.compile(
    r"[A-Za-z_. /-]{0,24}|[a-z]+://[\w.-]{1,60}(:\d{0,5})?(/[\w./-]{0,60})?", re.ASCII | re.IGNORECASE
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Environment(StrEnum):
    """The vendor's two gateways."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"

    @property
    def base_url(self) -> str:
        """The gateway's scheme and host."""
        return "https://gateway-stg.wonder.today" if self is Environment.SANDBOX else "https://gateway.wonder.today"


_ENVIRONMENTS = " or ".join(Environment)


class Settings(TypedDict, total=False):
    """The keyword arguments of `from_env`: the arguments of the clients. Each one replaces its variable."""

    app_id: str
    private_key: str | bytes | Path | RSAPrivateKey | Signer
    environment: Environment | str | None
    base_url: str | None
    passphrase: str | bytes | None
    language: str | None
    timeout: float
    retry: RetryPolicy
    on_retry: Callable[[WonderError, float], object] | None
    on_attempt: Callable[[AttemptEvent], object] | None
    transport: Any
    max_connections: int
    proxy: str | None
    ca_file: str | Path | None
    client_certificate: ClientCertificate | None


def plain_text(value: object) -> str | None:
    """Return the characters of a text, even if its class displays others; None if it is not a text.

    ``type()`` decides, not ``__class__``, which lazy texts and mocks fake.
    """
    return str.__str__(cast("str", value)) if issubclass(type(value), str) else None


def unquoted(text: str) -> str:
    """Return a text without the whitespace, byte order mark and quotes around it, which files and stores add."""
    return text.strip(" \t\r\n\ufeff\"'")


def described(value: object) -> str:
    """Return what a message may say of a wrong value: quoted if it cannot be a secret, or else its type or length."""
    text = plain_text(value)
    if text is None:
        return type(value).__name__
    return repr(text) if _QUOTABLE.fullmatch(text) and redact(text) == text.strip() else f"text of length {len(text)}"


def checked_uuid(name: str, value: object) -> UUID:
    """Return the UUID, if it has the usual form: five groups of hexadecimal digits.

    Raises:
        InvalidTokenError: It does not. The message names the argument and does not quote it.
    """
    if issubclass(type(value), UUID):
        return cast("UUID", value)
    text = plain_text(value)
    if text is not None and _UUID.fullmatch(text):
        return UUID(text)
    what = type(value).__name__ if text is None else f"text of length {len(text)}"
    raise InvalidTokenError(f"{name} must be a UUID (8-4-4-4-12 hexadecimal digits), not {what}.", attempts=0)


def checked_customer(customer_uuid: object) -> str | None:
    """Return the customer's UUID; None if there is none, which in the contract's path is the literal ``uuid``.

    Raises:
        InvalidTokenError: It is not a UUID.
    """
    if customer_uuid is None or plain_text(customer_uuid) == "uuid":
        return None
    return str(checked_uuid("customer_uuid", customer_uuid))


def checked_app_id(app_id: object, name: str = "app_id=") -> str:
    """Return the app id without whitespace and quotes around it, if the Credential header can hold it.

    Args:
        app_id: The app id.
        name: Where it came from, for the message; so in the functions below.

    Raises:
        ConfigurationError: The header cannot hold it.
    """
    text = unquoted(plain_text(app_id) or "")
    if not _APP_ID.fullmatch(text):
        required = "must be the app id from the vendor, in visible ASCII characters without a slash"
        raise ConfigurationError(f"{name} {required}, not {described(app_id)}.", attempts=0)
    return text


def checked_language(language: object, name: str = "language=") -> str | None:
    """Return the language, if the gateway supports it.

    Raises:
        ConfigurationError: It does not.
    """
    text = plain_text(language)
    if language is not None and text not in LANGUAGES:
        raise ConfigurationError(
            f"{name} must be one of {', '.join(LANGUAGES)}, not {described(language)}.", attempts=0
        )
    return text


def check_callback(name: str, callback: object) -> None:
    """Check that a callback is a plain function, or None.

    Raises:
        ConfigurationError: It is not; the message names the argument.
    """
    is_async = iscoroutinefunction(callback) or iscoroutinefunction(type(callback).__call__)
    if callback is not None and (is_async or not callable(callback)):
        raise ConfigurationError(f"{name} must be a plain function: an async one is never awaited.", attempts=0)


def checked_transport(transport: Any, kind: type, **network: object) -> Any:
    """Return the transport if it is of this kind, ``"fast"`` or None.

    Raises:
        ConfigurationError: It is not; or it is the caller's own, which uses none of the settings of the network.
    """
    given = [f"{name}=" for name, value in network.items() if value is not None]
    is_own = isinstance(transport, kind)
    if transport is None or plain_text(transport) == "fast" or (is_own and not given):
        return transport
    problem = f"must be an httpx.{kind.__name__}, 'fast' or None, not {described(transport)}"
    if is_own:
        problem = f"is your own transport, which ignores {given[0]}: configure it there"
    raise ConfigurationError(f"transport= {problem}.", attempts=0)


def check_policy(timeout: object, retry: object) -> None:
    """Check the options of a call.

    Raises:
        ConfigurationError: One is wrong; the message names it.
    """
    number("timeout=", timeout, above=True)
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError("retry= must be a RetryPolicy; RetryPolicy.never() turns retries off.", attempts=0)


def check_wait(timeout: object, poll: object, on_poll: object) -> None:
    """Check the arguments of a wait.

    Raises:
        ConfigurationError: One is wrong; the message names it.
    """
    number("timeout", timeout, above=True)
    if not isinstance(poll, PollPolicy):
        raise ConfigurationError("poll must be a PollPolicy.", attempts=0)
    check_callback("on_poll", on_poll)


def check_batch(tokens: object, kinds: Any, concurrency: object, max_per_second: object) -> None:
    """Check the arguments of a batch.

    Raises:
        ConfigurationError: ``tokens`` is no iterable of these kinds, or one token; or a number is out of bounds.
    """
    if isinstance(tokens, str | bytes) or not isinstance(tokens, kinds):
        raise ConfigurationError("tokens must be an iterable of tokens, not a single token.", attempts=0)
    number("concurrency", concurrency, minimum=1, maximum=10_000, whole=True)
    if max_per_second is not None:
        number("max_per_second", max_per_second, minimum=0.001)


def resolved_origin(environment: object, base_url: object) -> str:
    """Return the scheme, host and port of the gateway.

    Args:
        environment: An `Environment` or its value; None only together with ``base_url``.
        base_url: The URL to use instead of the environment's own.

    Raises:
        ConfigurationError: There is neither; or the URL is not https although its host is not loopback, or it has more
            than scheme, host and port.
    """
    known = None if environment is None else checked_environment(environment)
    if base_url is not None:
        return checked_origin(base_url)
    if known is None:
        raise ConfigurationError(
            f"environment= must be {_ENVIRONMENTS}, unless you pass base_url=: there is no default.", attempts=0
        )
    return known.base_url


def checked_environment(environment: object, name: str = "environment=") -> Environment:
    """Return the environment of this value.

    Raises:
        ConfigurationError: There is none.
    """
    for choice in Environment:
        if choice == plain_text(environment):
            return choice
    raise ConfigurationError(f"{name} must be {_ENVIRONMENTS}, not {described(environment)}.", attempts=0)


def checked_origin(base_url: object, name: str = "base_url=") -> str:
    """Return the scheme, host and port of a URL, if it has nothing else and is https or on a loopback host.

    Raises:
        ConfigurationError: It is anything else.
    """
    text = str(base_url) if type(base_url) is httpx.URL else plain_text(base_url)
    given = described(base_url if text is None else text)
    if text is None or not _ORIGIN.fullmatch(text):
        # A path would be signed, and the proxy that strips it would break the signature.
        raise ConfigurationError(
            f"{name} must have only a scheme, a host and an optional port, not {given}.", attempts=0
        )
    try:
        url = httpx.URL(text)
        host = url.host  # decodes Punycode, and fails if it is malformed
        if not _HOST.fullmatch(url.raw_host.decode("ascii")):
            ipaddress.ip_address(host)
    except (httpx.InvalidURL, ValueError):
        required = "must have a valid host name or IP address"
        raise ConfigurationError(f"{name} {required}, not {given}.", attempts=0) from None
    if url.port is not None and not 0 < url.port < 2**16:
        raise ConfigurationError(f"{name} must have a port from 1 to 65535, not {given}.", attempts=0)
    if not (url.scheme == "https" or (url.scheme == "http" and is_loopback(host))):
        raise ConfigurationError(
            f"{name} must use https, not {given}. Plain http works with a loopback host only.", attempts=0
        )
    return origin_of(url)


def origin_of(url: httpx.URL) -> str:
    """Return the scheme, host and port of a URL, without the port if it is the scheme's default."""
    # Parsed again: httpx drops a default port only if the scheme was in lower case.
    return str(httpx.URL(f"{url.scheme}://{url.netloc.decode('ascii')}"))


def is_loopback(host: str) -> bool:
    """Return whether a host is on the loopback interface, by its name or its address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
