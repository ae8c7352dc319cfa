"""Check a customer's payment token at the Wonder payment gateway."""

from ._version import __version__
from .client import AsyncWonderClient, WonderClient, check_token
from .config import Environment
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
    "TokenState",
    "TokenType",
    "WonderClient",
    "WonderError",
    "__version__",
    "check_token",
]
