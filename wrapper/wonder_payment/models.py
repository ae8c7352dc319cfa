"""The result of a check: the payment token in plain Python types."""

from datetime import UTC, date, datetime
from typing import Any, Self, TypeAlias, TypedDict, TypeVar, cast
from uuid import UUID

import attrs
from dateutil.relativedelta import relativedelta
from wonder_payment_client import models as wire
from wonder_payment_client.types import Unset

from ._redact import last_four, redact

__all__ = ["Card", "CardDict", "PaymentToken", "PaymentTokenDict", "TokenReference", "TokenState", "TokenType"]

_T = TypeVar("_T")
UUIDLike: TypeAlias = str | UUID

TokenState = wire.TokenState
"""The states that the vendor's mobile SDK knows: pending, success and failed. The reference page lists none."""

TokenType = wire.TokenType
"""The token types that the reference page lists. The gateway may return others."""


def _repr_last_four(secret: UUIDLike | None) -> str:
    return repr(last_four(str(secret)) if secret else secret)


def _repr_redacted(text: str | None) -> str:
    return repr(redact(text) if text else text)


@attrs.frozen
class TokenReference:
    """A token of a batch, with the UUIDs that the gateway may need to find it.

    Attributes:
        token: The payment token's UUID. ``repr`` shows its last four characters only.
        customer_uuid: The UUID of the token's customer.
        verify_uuid: The ``verify_uuid`` of the response that created the token. ``repr`` shows its last four characters
            only, because the vendor's mobile SDKs use it to check a token without a signature.
    """

    token: UUIDLike = attrs.field(repr=_repr_last_four)
    customer_uuid: UUIDLike | None = None
    verify_uuid: UUIDLike | None = attrs.field(default=None, repr=_repr_last_four)


def reference_to(token: object) -> TokenReference:
    """Return the reference itself, or one that has the token only."""
    return token if isinstance(token, TokenReference) else TokenReference(cast("UUIDLike", token))


@attrs.frozen(kw_only=True)
class Card:
    """A stored card. Every field is None if the gateway does not return it.

    Attributes:
        number: The card number, usually masked by the gateway. ``repr`` shows its last four digits only.
        exp_month: The month of expiry, as the gateway writes it.
        exp_year: The year of expiry with two or four digits, as the gateway writes it.
        holder_name: The cardholder's name. ``repr`` does not show it.
        brand: The card scheme.
        billing_currency: The currency the card is billed in.
    """

    number: str | None = attrs.field(default=None, repr=_repr_last_four)
    exp_month: str | None = attrs.field(default=None, repr=_repr_redacted)
    exp_year: str | None = attrs.field(default=None, repr=_repr_redacted)
    holder_name: str | None = attrs.field(default=None, repr=False)
    brand: str | None = attrs.field(default=None, repr=_repr_redacted)
    billing_currency: str | None = attrs.field(default=None, repr=_repr_redacted)

    @property
    def last4(self) -> str | None:
        """The last four characters of the number; None without a number."""
        return self.number[-4:] if self.number else None

    @property
    def expires_on(self) -> date | None:
        """The last day of the card's month of expiry, on which it is still valid; None if the expiry cannot be read."""
        month, year = (self.exp_month or "").strip(), (self.exp_year or "").strip()
        if len(year) == 2:  # noqa: PLR2004
            year = f"20{year}"  # no card is valid for decades
        try:
            return datetime.strptime(f"{month}/{year}", "%m/%Y").date() + relativedelta(day=31)  # noqa: DTZ007
        except ValueError:
            return None

    def is_expired(self, on: date | None = None) -> bool:
        """Return whether the card has expired; False if the expiry cannot be read.

        Args:
            on: The day to compare with; today (UTC) by default.
        """
        day = on or datetime.now(UTC)
        day = day.date() if isinstance(day, datetime) else day
        return self.expires_on is not None and self.expires_on < day


class CardDict(TypedDict):
    """A card in the result of `PaymentToken.to_dict`; see `Card`."""

    number: str | None
    exp_month: str | None
    exp_year: str | None
    holder_name: str | None
    brand: str | None
    billing_currency: str | None


class PaymentTokenDict(TypedDict):
    """What `PaymentToken.to_dict` returns; see `PaymentToken`."""

    token: str
    token_type: str
    state: str
    is_default: bool | None
    error_code: str | None
    error_message: str | None
    card: CardDict | None
    request_id: str | None
    extra: dict[str, Any]


CARD_FIELDS = tuple(field.name for field in attrs.fields(Card))


@attrs.frozen(kw_only=True)
class PaymentToken:
    """A payment token as the gateway reports it.

    ``repr`` and ``str`` show only the last four characters of the token and of the card number. They do not show the
    cardholder's name.

    Attributes:
        token: The token's value.
        token_type: The kind of payment method; a plain string if this version does not know it.
        state: The state of 3-D Secure; a plain string if this version does not know it.
        is_default: Whether this is the customer's default token; None if the response does not say.
        error_code: Why 3-D Secure failed, for programs; None unless it failed.
        error_message: Why 3-D Secure failed, for people (``error_msg`` on the wire); None unless it failed.
        card: The card, if ``token_type`` is ``CreditCard`` and the gateway shows it.
        request_id: The X-Request-ID of the request. Give it to the vendor's support.
        extra: Fields of the response that the contract does not define, such as the ``verify_url`` of older pages.
    """

    token: str = attrs.field(repr=_repr_last_four)
    token_type: TokenType | str = attrs.field(repr=_repr_redacted)
    state: TokenState | str = attrs.field(repr=_repr_redacted)
    is_default: bool | None = None
    error_code: str | None = attrs.field(default=None, repr=_repr_redacted)
    error_message: str | None = attrs.field(default=None, repr=_repr_redacted)
    card: Card | None = None
    request_id: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, hash=False, repr=lambda extra: f"<{len(extra)} fields>")

    @property
    def is_verified(self) -> bool:
        """Whether the cardholder passed 3-D Secure. You can use the token."""
        return self.state == TokenState.SUCCESS

    @property
    def is_failed(self) -> bool:
        """Whether 3-D Secure failed. ``error_code`` and ``error_message`` say why."""
        return self.state == TokenState.FAILED

    @property
    def is_pending(self) -> bool:
        """Whether 3-D Secure has not completed. True for any state other than success and failed."""
        return not (self.is_verified or self.is_failed)

    def to_dict(self, *, secrets: bool = False) -> PaymentTokenDict:
        """Return the fields as a dictionary for JSON.

        Args:
            secrets: Whether to include everything. Without it, the result is safe to show: it has only the last four
                characters of the token and the card number, redacted texts of the gateway, and neither the cardholder's
                name nor ``extra``.
        """
        return cast("PaymentTokenDict", attrs.asdict(self, value_serializer=_plain if secrets else _shown))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415 (only pydantic calls this)

        to_dict = core_schema.plain_serializer_function_ser_schema(cls.to_dict, return_schema=core_schema.dict_schema())
        return core_schema.is_instance_schema(cls, serialization=to_dict)

    @classmethod
    def from_model(cls, response: wire.CheckPaymentTokenResponse, *, request_id: str | None) -> Self:
        """Return the plain form of a response that the generated client parsed and `_http.response` checked."""
        token = response.data.payment_token
        extra = {**response.additional_properties, **response.data.additional_properties, **token.additional_properties}
        card = None
        if isinstance(token.credit_card, wire.CreditCard):
            card = Card(**{name: _given(getattr(token.credit_card, name)) for name in CARD_FIELDS})
            if token.credit_card.additional_properties:
                extra["credit_card"] = token.credit_card.additional_properties
        return cls(
            token=token.token,
            token_type=token.token_type,
            state=token.state,
            is_default=_given(token.default),
            error_code=_given(token.error_code),
            error_message=_given(token.error_msg),
            card=card,
            request_id=request_id,
            extra=extra,
        )


def _plain(_owner: object, _field: object, value: Any) -> Any:
    """Return a plain string for a member of an enum."""
    return str(value) if isinstance(value, str) else value


def _shown(_owner: object, field: "attrs.Attribute[Any]", value: Any) -> Any:
    """Return what may be shown of a field."""
    if field.name in ("token", "number"):
        return value and last_four(value)
    if field.name == "holder_name":
        return None
    if field.name == "extra":
        return {}
    return redact(value) if isinstance(value, str) and field.name != "request_id" else value


def _given(value: _T | Unset) -> _T | None:
    """Return None for a field that the response does not have."""
    return None if isinstance(value, Unset) else value
