from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.token_state import TokenState
from ..models.token_type import TokenType
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.credit_card import CreditCard


T = TypeVar("T", bound="PaymentToken")


@_attrs_define
class PaymentToken:
    """
    Attributes:
        token_type (str | TokenType): The token type
        token (str): The token value
        state (str | TokenState):
        default (bool | None | Unset): If it's default token
        error_code (None | str | Unset): if bind card failed, will return the specific error code
        error_msg (None | str | Unset): if bind card failed, will return the specific error message
        credit_card (CreditCard | None | Unset): if token_type is CreditCard
    """

    token_type: str | TokenType
    token: str
    state: str | TokenState
    default: bool | None | Unset = UNSET
    error_code: None | str | Unset = UNSET
    error_msg: None | str | Unset = UNSET
    credit_card: CreditCard | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.credit_card import CreditCard  # noqa: PLC0415

        token_type: str
        if isinstance(self.token_type, TokenType):
            token_type = self.token_type.value
        else:
            token_type = self.token_type

        token = self.token

        state: str
        if isinstance(self.state, TokenState):
            state = self.state.value
        else:
            state = self.state

        default: bool | None | Unset
        if isinstance(self.default, Unset):
            default = UNSET
        else:
            default = self.default

        error_code: None | str | Unset
        if isinstance(self.error_code, Unset):
            error_code = UNSET
        else:
            error_code = self.error_code

        error_msg: None | str | Unset
        if isinstance(self.error_msg, Unset):
            error_msg = UNSET
        else:
            error_msg = self.error_msg

        credit_card: dict[str, Any] | None | Unset
        if isinstance(self.credit_card, Unset):
            credit_card = UNSET
        elif isinstance(self.credit_card, CreditCard):
            credit_card = self.credit_card.to_dict()
        else:
            credit_card = self.credit_card

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "token_type": token_type,
                "token": token,
                "state": state,
            }
        )
        if default is not UNSET:
            field_dict["default"] = default
        if error_code is not UNSET:
            field_dict["error_code"] = error_code
        if error_msg is not UNSET:
            field_dict["error_msg"] = error_msg
        if credit_card is not UNSET:
            field_dict["credit_card"] = credit_card

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.credit_card import CreditCard  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_token_type(data: object) -> str | TokenType:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                token_type_type_0 = TokenType(data)

                return token_type_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(str | TokenType, data)

        token_type = _parse_token_type(d.pop("token_type"))

        token = d.pop("token")

        def _parse_state(data: object) -> str | TokenState:
            try:
                if not isinstance(data, str):
                    raise TypeError()
                state_type_0 = TokenState(data)

                return state_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(str | TokenState, data)

        state = _parse_state(d.pop("state"))

        def _parse_default(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        default = _parse_default(d.pop("default", UNSET))

        def _parse_error_code(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        error_code = _parse_error_code(d.pop("error_code", UNSET))

        def _parse_error_msg(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        error_msg = _parse_error_msg(d.pop("error_msg", UNSET))

        def _parse_credit_card(data: object) -> CreditCard | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                credit_card_type_0 = CreditCard.from_dict(data)

                return credit_card_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(CreditCard | None | Unset, data)

        credit_card = _parse_credit_card(d.pop("credit_card", UNSET))

        payment_token = cls(
            token_type=token_type,
            token=token,
            state=state,
            default=default,
            error_code=error_code,
            error_msg=error_msg,
            credit_card=credit_card,
        )

        payment_token.additional_properties = d
        return payment_token

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
