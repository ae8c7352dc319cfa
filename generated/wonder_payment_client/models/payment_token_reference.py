from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="PaymentTokenReference")


@_attrs_define
class PaymentTokenReference:
    """
    Attributes:
        token (UUID): card token
        verify_uuid (UUID | Unset): The verify_uuid of the response that created the token.
    """

    token: UUID
    verify_uuid: UUID | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        token = str(self.token)

        verify_uuid: str | Unset = UNSET
        if not isinstance(self.verify_uuid, Unset):
            verify_uuid = str(self.verify_uuid)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "token": token,
            }
        )
        if verify_uuid is not UNSET:
            field_dict["verify_uuid"] = verify_uuid

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        token = UUID(d.pop("token"))

        _verify_uuid = d.pop("verify_uuid", UNSET)
        verify_uuid: UUID | Unset
        if isinstance(_verify_uuid, Unset):
            verify_uuid = UNSET
        else:
            verify_uuid = UUID(_verify_uuid)

        payment_token_reference = cls(
            token=token,
            verify_uuid=verify_uuid,
        )

        payment_token_reference.additional_properties = d
        return payment_token_reference

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
