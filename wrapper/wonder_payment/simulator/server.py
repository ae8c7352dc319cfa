"""A simulated gateway that runs: a real server on a loopback port, in a thread."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID, uuid4

import uvicorn
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from wonder_payment.client import AsyncWonderClient, WonderClient
from wonder_payment.token import TokenState, TokenType

from .app import GatewayState, SimulatedRequest, application
from .faults import ConnectionProtocol, Fault
from .tokens import SAMPLE_CARD, SimulatedToken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

__all__ = ["SimulatedGateway"]


class SimulatedGateway:
    """A local gateway that checks signatures and plays 3-D Secure. A context manager: it answers once entered.

    Args:
        port: The port on 127.0.0.1; 0 for any that is free.
        app_id: The only app it knows; a random UUID when not given.
        private_key: The key its clients sign with; a throw-away of 2048 bits when not given.
    """

    def __init__(self, *, port: int = 0, app_id: str | None = None, private_key: RSAPrivateKey | None = None) -> None:
        self.app_id = app_id or str(uuid4())
        self.private_key = private_key or generate_private_key(public_exponent=65537, key_size=2048)
        self._state = GatewayState(self.app_id, self.private_key.public_key())
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        # asyncio turns Nagle's delay off where it sees that the protocol is TCP, which create_server() leaves unsaid.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        # From here on who connects before the thread runs waits in the socket's queue.
        listener.listen(1024)
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            application(self._state),
            http=ConnectionProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            date_header=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="simulated-gateway", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server and self._thread:
            # Not waiting for answers that a fault holds back.
            self._server.should_exit = self._server.force_exit = True
            self._thread.join()

    @property
    def base_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables of a service that is to talk to it, for ``from_env``."""
        pem = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return {
            "WONDER_APP_ID": self.app_id,
            "WONDER_BASE_URL": self.base_url,
            "WONDER_PRIVATE_KEY": pem.strip().replace("\n", "\\n"),
        }

    @property
    def requests(self) -> list[SimulatedRequest]:
        """The last 10,000 requests that came in, oldest first."""
        return list(self._state.requests)

    @property
    def clock_offset(self) -> float:
        """Seconds this gateway's clock is ahead of the machine's; may be set."""
        return self._state.clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self._state.clock_offset = seconds

    def client(self, **settings: Any) -> WonderClient:
        """Return a client of this gateway; the settings are those of `WonderClient`."""
        return WonderClient(**self._settings(settings))

    def async_client(self, **settings: Any) -> AsyncWonderClient:
        """Return an asyncio client of this gateway; the settings are those of `AsyncWonderClient`."""
        return AsyncWonderClient(**self._settings(settings))

    def _settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        own = {"app_id": self.app_id, "private_key": self.private_key, "environment": None, "base_url": self.base_url}
        return own | settings

    def reset(self) -> None:
        """Forget all that came in, was made, or was to go wrong; only the address, the app and its key stay."""
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
    ) -> str:
        """Make a payment token and return its UUID.

        Args:
            states: Its state at the first look, the second, and so on; the last one stays.
            token_type: What is stored.
            card: The card in the answer; None is sent as null.
            error_code: What is sent with a failed state.
            error_message: What is sent with a failed state.
            after: Seconds until which it is pending, whatever the number of looks; then it is in its last state.

        Raises:
            ValueError: There is no state.
        """
        token = SimulatedToken(
            states=states,
            token_type=token_type,
            card=card,
            error_code=error_code,
            error_message=error_message,
            after=after,
        )
        with self._state.lock:
            self._state.tokens[token.token] = token
        return token.token

    def approve(self, token: str | UUID) -> None:
        """Let the card holder pass 3-D Secure."""
        self._token(token).settle(TokenState.SUCCESS)

    def decline(self, token: str | UUID, *, error_code: str | None = None, error_message: str | None = None) -> None:
        """Let the card holder fail 3-D Secure."""
        self._token(token).settle(TokenState.FAILED, error_code, error_message)

    def inject(self, fault: Fault, *, token: str | UUID | None = None) -> None:
        """Let something go wrong with the next requests, as often as the fault says.

        Args:
            fault: What goes wrong.
            token: The only token it happens to; None for all.
        """
        with self._state.lock:
            if token is None:
                self._state.faults.append(fault)
            else:
                self._token(token).faults.append(fault)

    def _token(self, token: str | UUID) -> SimulatedToken:
        with self._state.lock:
            known = self._state.tokens.get(str(token).lower())
        if known is None:
            raise ValueError(f"this gateway has no token {token}; add_token() makes one")
        return known
