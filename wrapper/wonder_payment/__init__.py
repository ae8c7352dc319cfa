"""Check a customer's payment token at the Wonder payment gateway."""

from ._version import __version__
from .batch import CheckResult
from .client import AsyncWonderClient, WonderClient, check_token
from .config import Environment
from .errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InvalidResponseError,
    InvalidSignatureError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    SigningError,
    StillPendingError,
    WonderError,
)
from .events import AttemptEvent
from .models import Card, PaymentToken, TokenReference, TokenState, TokenType
from .protocols import Signer, TokenChecker
from .retry import PollPolicy, RetryPolicy

__all__ = [
    "APIError",
    "AsyncWonderClient",
    "AttemptEvent",
    "AuthenticationError",
    "BadRequestError",
    "Card",
    "CheckResult",
    "ConfigurationError",
    "Environment",
    "InvalidResponseError",
    "InvalidSignatureError",
    "InvalidTokenError",
    "NetworkError",
    "NotFoundError",
    "PaymentToken",
    "PollPolicy",
    "RateLimitError",
    "RequestTimeoutError",
    "RetryPolicy",
    "ServerError",
    "Signer",
    "SigningError",
    "StillPendingError",
    "TokenChecker",
    "TokenReference",
    "TokenState",
    "TokenType",
    "WonderClient",
    "WonderError",
    "__version__",
    "check_token",
]
