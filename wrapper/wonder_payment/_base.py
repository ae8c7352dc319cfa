"""What both clients share: the settings, checked once, and the arguments of a call."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, NoReturn, Self, TypeVar, Unpack

import attrs
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from wonder_payment_client.models import CheckPaymentTokenRequest, Language, PaymentTokenReference

from . import config
from ._flow import Policy
from ._keys import key_or_signer, loaded_key
from ._redact import clears_locals
from .errors import WonderError
from .events import AttemptEvent
from .models import TokenReference
from .protocols import Signer
from .retry import RetryPolicy, number
from .signing import WonderAuth

TransportT = TypeVar("TransportT")


class BaseClient(Generic[TransportT]):
    """What both clients share."""

    @clears_locals
    def __init__(
        self,
        app_id: str,
        private_key: str | bytes | Path | RSAPrivateKey | Signer,
        *,
        environment: config.Environment | str | None = None,
        base_url: str | None = None,
        passphrase: str | bytes | None = None,
        language: str | None = None,
        timeout: float = 10.0,
        retry: RetryPolicy = RetryPolicy(),
        on_retry: Callable[[WonderError, float], object] | None = None,
        on_attempt: Callable[[AttemptEvent], object] | None = None,
        transport: TransportT | None = None,
        max_connections: int = 100,
        proxy: str | None = None,
        ca_file: str | Path | None = None,
        client_certificate: config.ClientCertificate | None = None,
    ) -> None:
        number("max_connections=", max_connections, minimum=1, maximum=10_000, whole=True)
        config.check_policy(timeout, retry)
        config.check_callback("on_retry=", on_retry)
        config.check_callback("on_attempt=", on_attempt)
        self._app_id = config.checked_app_id(app_id)
        self._origin = config.resolved_origin(environment, base_url)
        self._language = config.checked_choice(language, "language=", config.LANGUAGES)
        self._policy = Policy(retry, timeout, on_retry, on_attempt)
        self._auth = WonderAuth(self._app_id, key_or_signer(private_key, passphrase), origin=self._origin)
        self._max_connections = max_connections
        self._open(transport, proxy=proxy, ca_file=ca_file, client_certificate=client_certificate)

    def _open(self, transport: TransportT | None, **network: Any) -> None:
        raise NotImplementedError

    @classmethod
    @clears_locals
    def from_env(cls, environ: Mapping[str, str] = os.environ, **overrides: Unpack[config.Settings]) -> Self:
        r"""Return a client with its settings from environment variables.

        Set ``WONDER_APP_ID``, ``WONDER_PRIVATE_KEY`` or ``WONDER_PRIVATE_KEY_FILE``, and ``WONDER_ENVIRONMENT``
        (``sandbox`` or ``production``) or ``WONDER_BASE_URL``. An encrypted key also needs
        ``WONDER_PRIVATE_KEY_PASSPHRASE``. ``WONDER_LANGUAGE`` is optional. The key can have any form that
        `load_private_key` takes. In a PEM, a literal ``\n`` is a line break.

        Args:
            environ: The variables; by default those of the process.
            overrides: Arguments of the client. Each one replaces its variable.

        Raises:
            TypeError: An override is not an argument of the client.
            ConfigurationError: A setting is missing or wrong. All missing settings are reported at once.
        """
        settings = config.settings_from(environ, overrides)
        if "private_key" not in overrides:
            # Loaded here, so that a message names the variables.
            key, passphrase = settings["private_key"], settings.pop("passphrase")
            source = "passphrase=" if "passphrase" in overrides else "WONDER_PRIVATE_KEY_PASSPHRASE"
            settings["private_key"] = loaded_key(key, passphrase, config.key_variable(key), source)
        return cls(**settings)

    def with_options(
        self, *, timeout: float | None = None, retry: RetryPolicy | None = None, language: str | None = None
    ) -> Self:
        """Return a client with other options. It is cheap enough to make one for each call.

        The new client shares connections, key, clock offset and retry quota with this one. Closing one closes both.

        Args:
            timeout: Seconds for one attempt; None keeps this client's.
            retry: When a failed attempt is retried; None keeps this client's.
            language: The language of the gateway's error messages; None keeps this client's.

        Raises:
            ConfigurationError: An option is wrong.
        """
        policy = self._policy
        timeout = policy.timeout if timeout is None else timeout
        retry = policy.retry if retry is None else retry
        config.check_policy(timeout, retry)
        client = object.__new__(type(self))
        vars(client).update(vars(self))
        client._policy = attrs.evolve(policy, timeout=timeout, retry=retry)
        client._language = config.checked_choice(language, "language=", config.LANGUAGES) or self._language
        return client

    def __repr__(self) -> str:
        return f"{type(self).__name__}(app_id={self._app_id!r}, base_url={self._origin!r})"

    def __reduce__(self) -> NoReturn:
        advice = "Create one in each process, for example with from_env()."
        raise TypeError(f"{type(self).__name__} cannot be pickled or copied: it holds a private key. {advice}")

    def _request(self, reference: TokenReference) -> tuple[str, dict[str, Any]]:
        """Check the arguments of a call; return the token and what the generated function takes.

        Raises:
            InvalidTokenError: One of the UUIDs is not a UUID.
        """
        uuid = config.checked_uuid("token", reference.token)
        body = PaymentTokenReference(uuid)
        if reference.verify_uuid is not None:
            body.verify_uuid = config.checked_uuid("verify_uuid", reference.verify_uuid)
        arguments: dict[str, Any] = {"body": CheckPaymentTokenRequest(body)}
        if customer := config.checked_customer(reference.customer_uuid):
            arguments["customer_uuid"] = customer
        if self._language:
            arguments["x_i18n_lang"] = Language(self._language)
        return str(uuid), arguments
