"""Contains all the data models used in inputs/outputs"""

from .check_payment_token_data import CheckPaymentTokenData
from .check_payment_token_request import CheckPaymentTokenRequest
from .check_payment_token_response import CheckPaymentTokenResponse
from .credit_card import CreditCard
from .error_response import ErrorResponse
from .language import Language
from .payment_token import PaymentToken
from .payment_token_reference import PaymentTokenReference
from .token_state import TokenState
from .token_type import TokenType

__all__ = (
    "CheckPaymentTokenData",
    "CheckPaymentTokenRequest",
    "CheckPaymentTokenResponse",
    "CreditCard",
    "ErrorResponse",
    "Language",
    "PaymentToken",
    "PaymentTokenReference",
    "TokenState",
    "TokenType",
)
