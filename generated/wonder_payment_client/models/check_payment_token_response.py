from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.check_payment_token_data import CheckPaymentTokenData


T = TypeVar("T", bound="CheckPaymentTokenResponse")


@_attrs_define
class CheckPaymentTokenResponse:
    """
    Attributes:
        code (float): 0 or 200 for a good answer.
        message (str):
        data (CheckPaymentTokenData):
    """

    code: float
    message: str
    data: CheckPaymentTokenData
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        code = self.code

        message = self.message

        data = self.data.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "code": code,
                "message": message,
                "data": data,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.check_payment_token_data import CheckPaymentTokenData  # noqa: PLC0415

        d = dict(src_dict)
        code = d.pop("code")

        message = d.pop("message")

        data = CheckPaymentTokenData.from_dict(d.pop("data"))

        check_payment_token_response = cls(
            code=code,
            message=message,
            data=data,
        )

        check_payment_token_response.additional_properties = d
        return check_payment_token_response

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
