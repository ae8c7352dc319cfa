"""What the caller gets: the payment token as the gateway sees it, in plain Python types."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import attrs
from dateutil.relativedelta import relativedelta

from .errors import last_four, redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from wonder_payment_client import models

__all__ = ["Card", "PaymentToken", "TokenState", "TokenType"]

_EnumT = TypeVar("_EnumT", bound=StrEnum)


class TokenState(StrEnum):
    """The states the vendor's mobile SDK knows; the contract page lists none. Any other counts as not finished."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"


class TokenType(StrEnum):
    """The kinds of token the contract page lists. The gateway may answer others."""

    CREDIT_CARD = "CreditCard"
    WECHAT_PAY_AUTO_DEBIT = "WechatPayAutoDebit"
    ALIPAY_AUTO_DEBIT = "AlipayAutoDebit"


def _of_type(*types: type) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """Return a validator that names the field and the type it got, never the value: it may be a card number."""
    wanted = " or ".join(kind.__name__ for kind in types)

    def validate(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, types):
            raise TypeError(f"{attribute.name} is {type(value).__name__}, not {wanted}")

    return validate


_text = _of_type(str)
_optional_text = _of_type(str, type(None))


def _repr_last_four(secret: str | None) -> str:
    return repr(last_four(secret) if secret else secret)


def _repr_redacted(text: str | None) -> str:
    return repr(redact(text) if text else text)


@attrs.frozen(kw_only=True)
class Card:
    """A stored card, as far as the gateway shows it. Every field may be absent.

    Attributes:
        number: The card number, usually masked by the gateway. Only its last four digits are ever shown by ``repr``.
        exp_month: The expiry's month, as the gateway writes it.
        exp_year: The expiry's year, two or four digits, as the gateway writes it.
        holder_name: The card holder's name. Never shown by ``repr``.
        brand: The card scheme.
        billing_currency: The currency it is billed in.
    """

    number: str | None = attrs.field(default=None, validator=_optional_text, repr=_repr_last_four)
    exp_month: str | None = attrs.field(default=None, validator=_optional_text, repr=_repr_redacted)
    exp_year: str | None = attrs.field(default=None, validator=_optional_text, repr=_repr_redacted)
    holder_name: str | None = attrs.field(default=None, validator=_optional_text, repr=False)
    brand: str | None = attrs.field(default=None, validator=_optional_text, repr=_repr_redacted)
    billing_currency: str | None = attrs.field(default=None, validator=_optional_text, repr=_repr_redacted)

    @property
    def last4(self) -> str | None:
        """The last four characters of the number, or None where there is none."""
        return self.number[-4:] if self.number else None

    @property
    def expires_on(self) -> date | None:
        """The last day the card is good: the end of its month; None where the expiry can't be read."""
        month, year = (self.exp_month or "").strip(), (self.exp_year or "").strip()
        if not (month.isdecimal() and year.isdecimal() and len(month) <= 2 and len(year) in (2, 4)):  # noqa: PLR2004
            return None
        try:
            # A two-digit year is of this century: no card is valid for decades.
            first = date(int(year) + (2000 if len(year) == 2 else 0), int(month), 1)  # noqa: PLR2004
        except ValueError:
            return None
        return first + relativedelta(day=31)

    def is_expired(self, on: date | None = None) -> bool:
        """Tell whether the card has expired; False where its expiry can't be read.

        Args:
            on: The day to judge by; today (UTC) when not given.
        """
        day = on or datetime.now(UTC)
        day = day.date() if isinstance(day, datetime) else day
        return self.expires_on is not None and self.expires_on < day


def _token_type(value: str) -> TokenType | str:
    return _known(TokenType, value)


def _state(value: str) -> TokenState | str:
    return _known(TokenState, value)


def _known(kind: type[_EnumT], value: str) -> _EnumT | str:
    """Name a value we know; keep any other as it came."""
    try:
        return kind(value)
    except ValueError:
        return value


@attrs.frozen(kw_only=True)
class PaymentToken:
    """The answer to a check.

    ``repr`` and ``str`` show the last four characters of the token and of the card number, and no holder name.

    Attributes:
        token: The token's value.
        token_type: What is stored; a plain string where the gateway answers a kind this version does not know.
        state: How far 3-D Secure is; a plain string where the gateway answers a state this version does not know.
        is_default: Whether this is the customer's default token.
        error_code: Why it failed, for programs; None unless it failed.
        error_message: Why it failed, for people (``error_msg`` on the wire); None unless it failed.
        card: The card, where ``token_type`` is ``CreditCard`` and the gateway shows it.
        request_id: The X-Request-ID of the request that was answered. Support asks for it.
        extra: Fields of the answer that the contract does not know, such as the ``verify_url`` of older pages.
    """

    token: str = attrs.field(validator=_text, repr=_repr_last_four)
    token_type: TokenType | str = attrs.field(validator=_text, converter=_token_type, repr=_repr_redacted)
    state: TokenState | str = attrs.field(validator=_text, converter=_state, repr=_repr_redacted)
    is_default: bool = attrs.field(validator=_of_type(bool))
    error_code: str | None = attrs.field(default=None, validator=_optional_text, repr=_repr_redacted)
    error_message: str | None = attrs.field(default=None, validator=_optional_text, repr=_repr_redacted)
    card: Card | None = attrs.field(default=None, validator=_of_type(Card, type(None)))
    request_id: str | None = attrs.field(default=None, validator=_optional_text)
    extra: dict[str, Any] = attrs.field(
        factory=dict, validator=_of_type(dict), hash=False, repr=lambda extra: f"<{len(extra)} fields>"
    )

    @property
    def is_verified(self) -> bool:
        """Whether the card holder passed 3-D Secure: the token may be used."""
        return self.state == TokenState.SUCCESS

    @property
    def is_failed(self) -> bool:
        """Whether 3-D Secure ended badly; ``error_code`` and ``error_message`` say why."""
        return self.state == TokenState.FAILED

    @property
    def is_pending(self) -> bool:
        """Whether 3-D Secure has not ended: any state that is neither success nor failed."""
        return not (self.is_verified or self.is_failed)

    @classmethod
    def from_model(cls, answer: models.CheckPaymentTokenResponse, *, request_id: str | None) -> Self:
        """Return the plain answer for the one of the generated client.

        Raises:
            TypeError: A field is not of the contract's type. The generated parser does not look.
        """
        extra = answer.additional_properties | answer.data.to_dict()
        token: dict[str, Any] = extra.pop("payment_token")
        card: Card | None = None
        if (wire_card := token.pop("credit_card", None)) is not None:
            if not isinstance(wire_card, dict):
                raise TypeError(f"credit_card is {type(wire_card).__name__}, not an object")
            unknown = cast("dict[str, Any]", wire_card)
            card = Card(**{field.name: unknown.pop(field.name, None) for field in attrs.fields(Card)})
            extra |= {"credit_card": unknown} if unknown else {}
        return cls(
            token=token.pop("token"),
            token_type=token.pop("token_type"),
            state=token.pop("state"),
            is_default=token.pop("default"),
            error_code=token.pop("error_code", None),
            error_message=token.pop("error_msg", None),
            card=card,
            request_id=request_id,
            extra=extra | token,
        )
