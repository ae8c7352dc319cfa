from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.payment_token import PaymentToken


T = TypeVar("T", bound="CheckPaymentTokenData")


@_attrs_define
class CheckPaymentTokenData:
    """
    Attributes:
        payment_token (PaymentToken):
    """

    payment_token: PaymentToken
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        payment_token = self.payment_token.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "payment_token": payment_token,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.payment_token import PaymentToken  # noqa: PLC0415

        d = dict(src_dict)
        payment_token = PaymentToken.from_dict(d.pop("payment_token"))

        check_payment_token_data = cls(
            payment_token=payment_token,
        )

        check_payment_token_data.additional_properties = d
        return check_payment_token_data

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
