"""The variants of the gateway: public sources differ about what a request needs and what a response has."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import attrs
from attrs.validators import in_, instance_of

__all__ = ["ECHO_PATHS", "TEST_CUSTOMER_UUID", "TEST_VERIFY_UUID", "Envelope", "GoodCode", "Variant", "error_body"]

TEST_CUSTOMER_UUID = "00000000-0000-4000-9000-000000000001"
"""The customer of the test tokens, and of tokens that you add without a customer."""

TEST_VERIFY_UUID = "00000000-0000-4000-a000-000000000001"
"""The ``verify_uuid`` of the test tokens, and of tokens that you add without one."""

ECHO_PATHS = ("/svc/payment/api/v1/echo", "/svc/payment/api/v1/openapi/echo")
"""The two known paths of the echo request, from the vendor's get-started guide and from its samples."""

Envelope: TypeAlias = Literal["code", "error_code"]
GoodCode: TypeAlias = Literal[0, 200, "0"]


def _good_code(_variant: object, _attribute: object, code: object) -> None:
    # False and 0.0 equal 0, but are other JSON.
    if type(code) not in (int, str) or code not in get_args(GoodCode):
        raise ValueError('code must be 0, 200 or "0"')


def _echo_paths(_variant: object, _attribute: object, paths: Sequence[str]) -> None:
    if not isinstance(paths, list | tuple) or not all(path in ECHO_PATHS for path in paths):
        raise ValueError(f"echo_paths must be a list of none, one or both of {', '.join(ECHO_PATHS)}")


@attrs.frozen(kw_only=True)
class Variant:
    """What a simulator requires, and how it responds: the arguments of `SimulatedGateway` of the same names.

    Raises:
        ValueError: A value is not one of those allowed.
        TypeError: A value has the wrong type.
    """

    requires_customer_uuid: bool = attrs.field(default=False, validator=instance_of(bool))
    requires_verify_uuid: bool = attrs.field(default=False, validator=instance_of(bool))
    envelope: Envelope = attrs.field(default="code", validator=in_(get_args(Envelope)))
    code: GoodCode = attrs.field(default=0, validator=_good_code)
    echo_paths: Sequence[str] = attrs.field(default=ECHO_PATHS, validator=_echo_paths)

    def __attrs_post_init__(self) -> None:
        if self.envelope != "code" and self.code != 0:
            raise ValueError('code needs the envelope "code": omit one of the two')

    @property
    def token_arguments(self) -> dict[str, str]:
        """The arguments of ``check_token`` that the test tokens need."""
        arguments: dict[str, str] = {}
        if self.requires_customer_uuid:
            arguments["customer_uuid"] = TEST_CUSTOMER_UUID
        if self.requires_verify_uuid:
            arguments["verify_uuid"] = TEST_VERIFY_UUID
        return arguments

    def good_body(self, **fields: Any) -> dict[str, Any]:
        """Return the body of a good response with these fields beside the code."""
        if self.envelope == "code":
            return {"code": self.code, "message": "success", **fields}
        return {"error_code": "", "error_message": "", **fields}


def error_body(envelope: Envelope, code: str, message: str) -> dict[str, str]:
    """Return the body of an error in this envelope."""
    if envelope == "code":
        return {"code": code, "message": message}
    return {"error_code": code, "error_message": message}
