"""Check a customer's payment token at the Wonder payment gateway."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InvalidResponseError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StillPendingError,
    WonderError,
)

if TYPE_CHECKING:
    from .checker import TokenChecker
    from .client import AsyncWonderClient, WonderClient, check_token
    from .config import Environment
    from .retry import PollPolicy, RetryPolicy
    from .sweep import Outcome
    from .token import Card, PaymentToken, TokenState, TokenType

__all__ = [
    "APIError",
    "AsyncWonderClient",
    "AuthenticationError",
    "BadRequestError",
    "Card",
    "ConfigurationError",
    "Environment",
    "InvalidResponseError",
    "InvalidTokenError",
    "NetworkError",
    "NotFoundError",
    "Outcome",
    "PaymentToken",
    "PollPolicy",
    "RateLimitError",
    "RequestTimeoutError",
    "RetryPolicy",
    "ServerError",
    "StillPendingError",
    "TokenChecker",
    "TokenState",
    "TokenType",
    "WonderClient",
    "WonderError",
    "__version__",
    "check_token",
]

# Loaded when they are first asked for: httpx, cryptography and asyncio take a tenth of a second, which a module that
# only catches an error, or a command's --help, need not spend.
_HOMES = {
    "AsyncWonderClient": "client",
    "Card": "token",
    "Environment": "config",
    "Outcome": "sweep",
    "PaymentToken": "token",
    "PollPolicy": "retry",
    "RetryPolicy": "retry",
    "TokenChecker": "checker",
    "TokenState": "token",
    "TokenType": "token",
    "WonderClient": "client",
    "check_token": "client",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    thing = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return thing


def __dir__() -> list[str]:
    return __all__
