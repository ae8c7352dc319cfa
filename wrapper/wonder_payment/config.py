"""Arguments and environment variables become checked values. Nothing is guessed, and nothing is sent.

A check raises a `ConfigurationError` that names the setting. The checks of UUIDs raise an `InvalidTokenError`.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
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
_QUOTABLE = re.compile(r"(?ai)[a-z_. /-]{0,24}|[a-z]+://[\w.-]{1,60}(:\d{0,5})?(/[\w./-]{0,60})?")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Environment(StrEnum):
    """The vendor's two gateways."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"

    @property
    def base_url(self) -> str:
        """The gateway's scheme and host."""
        return "https://gateway-stg.wonder.today" if self is Environment.SANDBOX else "https://gateway.wonder.today"


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


def require(is_good: object, rule: str, value: object) -> None:
    """Raise a `ConfigurationError` unless a value is good.

    The message begins with ``rule``, which names the setting and says what it must be. Then it describes the value.
    """
    if not is_good:
        raise ConfigurationError(f"{rule}, not {described(value)}.", attempts=0)


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
    """Return the customer's UUID; None if there is none, which in the contract's path is the literal ``uuid``."""
    if customer_uuid is None or plain_text(customer_uuid) == "uuid":
        return None
    return str(checked_uuid("customer_uuid", customer_uuid))


def checked_app_id(app_id: object, name: str = "app_id=") -> str:
    """Return the app id without whitespace and quotes around it, if the Credential header can hold it.

    ``name`` is the name of the setting for the message. The functions below take it, too.
    """
    text = unquoted(plain_text(app_id) or "")
    require(_APP_ID.fullmatch(text), f"{name} must be your app id, in visible ASCII characters without a slash", app_id)
    return text


def checked_choice(value: object, name: str, choices: Iterable[str]) -> str | None:
    """Return the value, which must be one of the choices or None."""
    text = plain_text(value)
    require(value is None or text in list(choices), f"{name} must be one of {', '.join(choices)}", value)
    return text


def check_callback(name: str, callback: object) -> None:
    """Check that a callback is a plain function, or None."""
    is_async = iscoroutinefunction(callback) or iscoroutinefunction(type(callback).__call__)
    if callback is not None and (is_async or not callable(callback)):
        raise ConfigurationError(f"{name} must be a plain function: an async one is never awaited.", attempts=0)


def checked_transport(transport: Any, kind: type, **network: object) -> Any:
    """Return the transport if it is of this kind, ``"fast"`` or None.

    Raises:
        ConfigurationError: It is not; or it is the caller's own, which uses none of the settings of the network.
    """
    is_own = isinstance(transport, kind)
    is_known = transport is None or is_own or plain_text(transport) == "fast"
    require(is_known, f"transport= must be an httpx.{kind.__name__}, 'fast' or None", transport)
    for name, value in network.items():
        if is_own and value is not None:
            problem = f"transport= is your own, which ignores {name}=. Configure it in the transport."
            raise ConfigurationError(problem, attempts=0)
    return transport


def check_policy(timeout: object, retry: object) -> None:
    """Check the options of a call."""
    number("timeout=", timeout, above=True)
    rule = "retry= must be a RetryPolicy (RetryPolicy.never() turns retries off)"
    require(isinstance(retry, RetryPolicy), rule, retry)


def check_wait(timeout: object, poll: object, on_poll: object) -> None:
    """Check the arguments of a wait."""
    number("timeout", timeout, above=True)
    require(isinstance(poll, PollPolicy), "poll must be a PollPolicy", poll)
    check_callback("on_poll", on_poll)


def check_batch(tokens: object, kinds: Any, concurrency: object, max_per_second: object) -> None:
    """Check the arguments of a batch.

    Raises:
        ConfigurationError: ``tokens`` is a single token, or not an iterable of these kinds; or a number is wrong.
    """
    is_iterable = isinstance(tokens, kinds) and not isinstance(tokens, str | bytes)
    require(is_iterable, "tokens must be an iterable of tokens", tokens)
    number("concurrency", concurrency, minimum=1, maximum=10_000, whole=True)
    if max_per_second is not None:
        number("max_per_second", max_per_second, minimum=0.001)


def resolved_origin(environment: object, base_url: object) -> str:
    """Return the scheme, host and port of the gateway: those of ``base_url``, or else those of the environment."""
    known = checked_choice(environment, "environment=", Environment)
    if base_url is not None:
        return checked_origin(base_url)
    rule = "environment= must be sandbox or production unless you pass base_url= (there is no default)"
    require(known, rule, environment)
    return Environment(cast("str", known)).base_url


def checked_origin(base_url: object, name: str = "base_url=") -> str:
    """Return the scheme, host and port of a URL, if it has nothing else and is https or on a loopback host."""
    text = plain_text(base_url) or ""
    # A path would be signed, and the proxy that strips it would break the signature.
    url = parsed_url(text) if _ORIGIN.fullmatch(text) else None
    is_good = url and (url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host)))
    require(is_good, f"{name} must be https://host or https://host:port, or http with a loopback host", base_url)
    return origin_of(httpx.URL(text))


def origin_of(url: httpx.URL) -> str:
    """Return the scheme, host and port of a URL, without the port if it is the scheme's default."""
    # Parsed again: httpx drops a default port only if the scheme was in lower case.
    return str(httpx.URL(f"{url.scheme}://{url.netloc.decode('ascii')}"))


def parsed_url(text: str) -> httpx.URL | None:
    """Return the URL; None if it, its host or its port is not valid."""
    with suppress(httpx.InvalidURL, ValueError):
        url = httpx.URL(text)
        is_host = address_of(url.host) or _HOST.fullmatch(url.raw_host.decode("ascii"))
        return url if is_host and (url.port is None or 0 < url.port < 2**16) else None
    return None


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a host is; None if it is a name."""
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    return None


def is_loopback(host: str) -> bool:
    """Return whether a host is on the loopback interface, by its name or its address."""
    address = address_of(host)
    return address.is_loopback if address else host == "localhost"


# The check of each variable, except those of the key. It takes the value, and the name for the message.
_CHECKS: dict[str, Callable[[object, str], object]] = {
    "app_id": checked_app_id,
    "environment": partial(checked_choice, choices=Environment),
    "base_url": checked_origin,
    "language": partial(checked_choice, choices=LANGUAGES),
}


def settings_from(environ: Mapping[str, str], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a client, from environment variables and their overrides.

    Whitespace and quotes around a variable are removed, except from a passphrase; an empty one counts as missing. An
    override replaces its variable; ``private_key`` also replaces the variable of the passphrase. Variables are
    checked here, except those of the key. Overrides are not.

    Raises:
        TypeError: There is no such override.
        ConfigurationError: Settings are missing (all are named), a variable is wrong, or two contradict each other.
    """

    def variable(name: str) -> str | None:
        return unquoted(environ.get(f"WONDER_{name.upper()}") or "") or None

    for name in sorted(overrides.keys() - Settings.__optional_keys__):
        near = get_close_matches(name, Settings.__optional_keys__, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"from_env() got an unexpected keyword argument {name!r}.{hint}")
    settings: dict[str, Any] = {}
    for name, check in _CHECKS.items():
        value = None if name in overrides else variable(name)
        settings[name] = None if value is None else check(value, f"WONDER_{name.upper()}")
    if "private_key" not in overrides:
        key, file = variable("private_key"), variable("private_key_file")
        if key and file:
            raise ConfigurationError("Set WONDER_PRIVATE_KEY or WONDER_PRIVATE_KEY_FILE, not both.", attempts=0)
        settings["private_key"] = Path(file) if file else key
        settings["passphrase"] = environ.get("WONDER_PRIVATE_KEY_PASSPHRASE") or None
    settings |= overrides
    is_missing = {
        "WONDER_APP_ID": settings["app_id"] is None,
        "WONDER_PRIVATE_KEY (or WONDER_PRIVATE_KEY_FILE)": settings["private_key"] is None,
        "WONDER_ENVIRONMENT (sandbox or production)": settings["environment"] is None and settings["base_url"] is None,
    }
    missing = ", ".join(name for name in is_missing if is_missing[name])
    if missing:
        raise ConfigurationError(f"Set {missing} in the environment.", attempts=0)
    return settings


def key_variable(private_key: object) -> str:
    """Return the name of the variable that `settings_from` took the private key from."""
    return "WONDER_PRIVATE_KEY_FILE" if isinstance(private_key, Path) else "WONDER_PRIVATE_KEY"
