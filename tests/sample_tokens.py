"""A card and a payment token with all their fields."""

from typing import Any

from wonder_payment import Card, PaymentToken, TokenState, TokenType

TOKEN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
NUMBER = "4111111111111234"
HOLDER = "ADA LOVELACE"


def card(**fields: Any) -> Card:
    known = {
        "number": NUMBER,
        "exp_month": "12",
        "exp_year": "2031",
        "holder_name": HOLDER,
        "brand": "visa",
        "billing_currency": "HKD",
    }
    return Card(**{**known, **fields})


def token(**fields: Any) -> PaymentToken:
    known = {
        "token": TOKEN,
        "token_type": TokenType.CREDIT_CARD,
        "state": TokenState.SUCCESS,
        "is_default": True,
        "card": card(),
        "request_id": "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11",
        "extra": {"verify_url": "https://acs.example/?secret=hunter2"},
    }
    return PaymentToken(**{**known, **fields})
