"""What both clients share: their settings, checked once, and what a call is made of."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, Unpack

import httpx
from wonder_payment_client.models import CheckPaymentTokenRequest, Language, PaymentTokenReference

from .call import Call
from .config import (
    Environment,
    Settings,
    checked_app_id,
    checked_customer,
    checked_language,
    checked_listener,
    checked_uuid,
    plain_text,
    resolved_origin,
    settings_from,
)
from .connections import LoopConnections, ProcessConnections
from .errors import SEALED, ConfigurationError, WonderError, redact
from .gateway import http_options
from .retry import RetryPolicy, number, whole_number
from .signing import WonderAuth, load_private_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from wonder_payment_client import Client

__all__ = ["BaseClient"]

_TransportT = TypeVar("_TransportT")
_CallT = TypeVar("_CallT", bound=Call)
_ConnectionsT = TypeVar("_ConnectionsT", ProcessConnections, LoopConnections)


class BaseClient(Generic[_TransportT, _ConnectionsT]):
    """What both clients share: the settings, checked once, and what a call is made of."""

    _transport_type: type[httpx.BaseTransport | httpx.AsyncBaseTransport]
    _transport_names: tuple[str, ...] = ()
    _many_tokens: Any
    _connections_type: type[_ConnectionsT]
    _connections: _ConnectionsT

    @SEALED
    def __init__(
        self,
        app_id: str,
        private_key: str | bytes | RSAPrivateKey,
        *,
        environment: Environment | str | None,
        base_url: str | None = None,
        passphrase: str | bytes | None = None,
        language: str | None = None,
        timeout: float = 10.0,
        retry: RetryPolicy = RetryPolicy(),
        on_retry: Callable[[WonderError, float], object] | None = None,
        transport: _TransportT | None = None,
    ) -> None:
        number("timeout", timeout, above=True)
        if not isinstance(retry, RetryPolicy):
            raise ConfigurationError("retry must be a RetryPolicy; RetryPolicy.never() turns retrying off.")
        checked_listener("on_retry", on_retry)
        if (
            not isinstance(transport, self._transport_type | None)
            and plain_text(transport) not in self._transport_names
        ):
            wanted = ", ".join([f"an httpx.{self._transport_type.__name__}", *map(repr, self._transport_names)])
            raise ConfigurationError(f"transport must be {wanted}, or None.")
        self._app_id = checked_app_id(app_id)
        self._origin = resolved_origin(environment, base_url)
        self._language = checked_language(language)
        self._timeout = timeout
        self._retry = retry
        self._on_retry = on_retry
        auth = WonderAuth(self._app_id, load_private_key(private_key, passphrase), origin=self._origin)
        try:
            self._connections = self._connections_type(**http_options(auth, self._origin, transport))
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            problem = redact(str(error))
        else:
            return
        raise ConfigurationError(f"The environment's proxy or TLS settings can't be used: {problem}")

    @classmethod
    @SEALED
    def from_env(cls, environ: Mapping[str, str] = os.environ, **overrides: Unpack[Settings]) -> Self:
        r"""Return a client with its settings from environment variables.

        ``WONDER_APP_ID``; ``WONDER_PRIVATE_KEY`` (a PEM, in which a literal ``\n`` is a line break) or
        ``WONDER_PRIVATE_KEY_FILE``; ``WONDER_PRIVATE_KEY_PASSPHRASE`` if it is encrypted; ``WONDER_ENVIRONMENT``
        (``sandbox`` or ``production``) or ``WONDER_BASE_URL``; ``WONDER_LANGUAGE`` (optional).

        Args:
            environ: Where to read them.
            overrides: Arguments of the client, each in place of its variable.

        Raises:
            ConfigurationError: A setting is missing or wrong; all that are missing are named.
        """
        return cls(**settings_from(environ, overrides))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(app_id={self._app_id!r}, base_url={self._origin!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} can't be pickled or copied: it holds a private key and connections. Make one in "
            "each process, as with from_env()."
        )

    def _api(self) -> Client:
        """Return the generated client on the connections of here."""
        raise NotImplementedError

    def _call(self, kind: type[_CallT], token: str | UUID, customer_uuid: str | UUID | None, **more: Any) -> _CallT:
        """Check the arguments and return the call they make."""
        asked = checked_uuid("token", token)
        arguments: dict[str, Any] = {
            "client": self._api(),
            "body": CheckPaymentTokenRequest(PaymentTokenReference(asked)),
        }
        if customer := checked_customer(customer_uuid):
            arguments["customer_uuid"] = customer
        if self._language:
            arguments["x_i18n_lang"] = Language(self._language)
        deadline = time.monotonic() + self._retry.max_elapsed
        return kind(asked, arguments, self._retry, self._timeout, deadline, self._on_retry, **more)

    def _check_sweep(self, tokens: object, concurrency: object, customer_uuid: object) -> None:
        """Check the arguments of a sweep.

        Raises:
            ConfigurationError: ``tokens`` is no iterable, or one token; or ``concurrency`` is no number it can be.
            InvalidTokenError: ``customer_uuid`` is not a UUID.
        """
        if isinstance(tokens, str | bytes) or not isinstance(tokens, self._many_tokens):
            raise ConfigurationError("tokens must be an iterable of tokens, and not one token.")
        whole_number("concurrency", concurrency, least=1, most=10_000)
        checked_customer(customer_uuid)
