"""A running simulator: a real HTTP server on a loopback port, in a thread."""

import os
import socket
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from wonder_payment.client import AsyncWonderClient, WonderClient
from wonder_payment.models import TokenState, TokenType, UUIDLike

from .faults import Fault, InjectedFault
from .state import SimulatedRequest, SimulatorState
from .thread import ServerThread
from .tokens import SAMPLE_CARD, SimulatedToken
from .variant import ECHO_PATHS, Envelope, GoodCode, Variant

__all__ = ["SimulatedGateway"]


class SimulatedGateway:
    """A local simulator of the gateway that verifies signatures and simulates 3-D Secure.

    Use it in a ``with`` block: it serves requests until the block ends. Threads can share it.

    The vendor's public sources contradict each other. The arguments select which variant the simulator follows.

    Args:
        port: The port on 127.0.0.1; 0 for any free port.
        app_id: The only app id that is accepted; by default a random UUID.
        private_key: The key that clients sign with; by default a new 2048-bit key.
        requires_customer_uuid: Whether the path must have the UUID of the token's customer, not the literal ``uuid``.
        requires_verify_uuid: Whether the request must have the token's ``verify_uuid``.
        envelope: ``"code"`` responds with ``code`` and ``message``, ``"error_code"`` with ``error_code`` (empty in a
            good response) and ``error_message``, as on older pages.
        code: The ``code`` of a good response in the envelope ``"code"``: 0, 200 or ``"0"``.
        echo_paths: The paths that serve the echo request: none, one or both of `ECHO_PATHS`.

    Raises:
        ValueError: A value is not one of those allowed.
        TypeError: A value has the wrong type.
        OSError: On entering the ``with`` block, if the port is not free.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        app_id: str | None = None,
        private_key: RSAPrivateKey | None = None,
        requires_customer_uuid: bool = False,
        requires_verify_uuid: bool = False,
        envelope: Envelope = "code",
        code: GoodCode = 0,
        echo_paths: Sequence[str] = ECHO_PATHS,
    ) -> None:
        variant = Variant(
            requires_customer_uuid=requires_customer_uuid,
            requires_verify_uuid=requires_verify_uuid,
            envelope=envelope,
            code=code,
            echo_paths=echo_paths,
        )
        self.app_id = app_id or str(uuid4())
        self.private_key = private_key or generate_private_key(public_exponent=65537, key_size=2048)
        self._state = SimulatorState(self.app_id, self.private_key.public_key(), variant)
        self._port = port
        self._running: ServerThread | None = None

    def __enter__(self) -> Self:
        # asyncio disables Nagle's delay only if the socket names TCP, which socket.create_server() does not.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # on Windows, this lets two processes use the same port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        # A client that connects before the thread runs waits in the socket's queue.
        listener.listen(1024)
        self._port = listener.getsockname()[1]
        self._running = ServerThread(self._state, listener)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._running:
            self._running.stop()
            self._running = None

    @property
    def base_url(self) -> str:
        """The scheme, host and port."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables for a service that calls ``from_env``, including the private key."""
        pem = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return {
            "WONDER_APP_ID": self.app_id,
            "WONDER_BASE_URL": self.base_url,
            "WONDER_PRIVATE_KEY": pem.strip().replace("\n", "\\n"),
        }

    @property
    def token_arguments(self) -> dict[str, str]:
        """The arguments of ``check_token`` that the test tokens need in this variant; empty if they need none.

        Added tokens need the same arguments, unless you add them with their own customer or ``verify_uuid``.
        """
        return self._state.variant.token_arguments

    @property
    def requests(self) -> list[SimulatedRequest]:
        """The last 10,000 requests, oldest first."""
        return list(self._state.requests)

    @property
    def clock_offset(self) -> float:
        """Seconds by which the simulator's clock is ahead of the machine's. You can set it."""
        return self._state.clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self._state.clock_offset = seconds

    def client(self, **settings: Any) -> WonderClient:
        """Return a client for this simulator.

        Args:
            settings: Arguments of `WonderClient`. They override the simulator's own.

        Raises:
            ConfigurationError: A setting is wrong.
        """
        return WonderClient(**self._settings(settings))

    def async_client(self, **settings: Any) -> AsyncWonderClient:
        """Return an asyncio client for this simulator; see `client`."""
        return AsyncWonderClient(**self._settings(settings))

    def _settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        own = {"app_id": self.app_id, "private_key": self.private_key, "environment": None, "base_url": self.base_url}
        return own | settings

    def reset(self) -> None:
        """Return to the initial state: the test tokens, no requests, no faults, the machine's time.

        Open connections are dropped, so that earlier requests have no effect after the reset. The address, the app id
        and the key stay the same.
        """
        if self._running:
            self._running.reset()
        else:
            self._state.reset()

    def add_token(
        self,
        *,
        states: Sequence[str] = (TokenState.PENDING,),
        token_type: str = TokenType.CREDIT_CARD,
        card: Mapping[str, str | None] | None = SAMPLE_CARD,
        error_code: str | None = None,
        error_message: str | None = None,
        after: float | None = None,
        customer_uuid: UUIDLike | None = None,
        verify_uuid: UUIDLike | None = None,
    ) -> str:
        """Add a payment token and return its UUID.

        Args:
            states: The state at the first poll, at the second poll, and so on. The last state stays.
            token_type: The kind of payment method.
            card: The card in the response; None is sent as null.
            error_code: The ``error_code`` of a failed token; None sends a sample.
            error_message: The ``error_msg`` of a failed token; None sends a sample.
            after: Seconds for which the token is pending, however often it is polled. Then it has its last state. None
                counts polls instead.
            customer_uuid: The token's customer; None is `TEST_CUSTOMER_UUID`. A wrong value is rejected only if the
                simulator requires it. The same applies to ``verify_uuid``.
            verify_uuid: The token's ``verify_uuid``; None is `TEST_VERIFY_UUID`.

        Raises:
            ValueError: A value is wrong. The message names it.
            InvalidTokenError: ``customer_uuid`` or ``verify_uuid`` is not a UUID.
        """
        token = SimulatedToken(
            states=states,
            customer_uuid=customer_uuid,
            verify_uuid=verify_uuid,
            token_type=token_type,
            card=card,
            error_code=error_code,
            error_message=error_message,
            after=after,
        )
        self._state.add(token)
        return token.token

    def approve(self, token: str | UUID) -> None:
        """Complete 3-D Secure: the cardholder passes it, and the token is verified.

        Raises:
            ValueError: The simulator has no such token.
        """
        self._state.settle(self._token(token), TokenState.SUCCESS)

    def decline(self, token: str | UUID, *, error_code: str | None = None, error_message: str | None = None) -> None:
        """Complete 3-D Secure: the cardholder fails it, and the token is failed.

        Args:
            token: The token's UUID.
            error_code: The ``error_code`` of the response; None sends a sample.
            error_message: The ``error_msg`` of the response; None sends a sample.

        Raises:
            ValueError: The simulator has no such token.
        """
        self._state.settle(self._token(token), TokenState.FAILED, error_code, error_message)

    def inject(self, fault: Fault, *, token: str | UUID | None = None) -> None:
        """Apply a fault to the next ``fault.times`` requests. Several faults apply in the order of their injection.

        Args:
            fault: What goes wrong.
            token: The only token whose requests it applies to; None for all requests.

        Raises:
            ValueError: The simulator has no such token.
        """
        with self._state.lock:
            known = None if token is None else self._token(token).token
            self._state.faults.append(InjectedFault(fault, known))

    def _token(self, token: str | UUID) -> SimulatedToken:
        known = self._state.find(token)
        if known is None:
            raise ValueError(f"the simulator has no token {token}; add_token() adds one")
        return known
