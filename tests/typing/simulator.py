"""The simulator and the pytest plugin as a user's tests write them. Type-checked, never run; see api.py."""

# pyright: strict
from typing import assert_type
from uuid import UUID

from wonder_payment import AsyncWonderClient, PaymentToken, WonderClient
from wonder_payment.simulator import (
    ECHO_PATHS,
    TEST_CUSTOMER_UUID,
    TEST_TOKENS,
    TEST_VERIFY_UUID,
    Fault,
    Rejection,
    SimulatedGateway,
    SimulatedRequest,
    SimulatedToken,
    TestToken,
    Verdict,
)
from wonder_payment_pytest import wonder_gateway


def simulator(gateway: SimulatedGateway, request: SimulatedRequest, verdict: Verdict, rejection: Rejection) -> None:
    assert_type(gateway.add_token(states=["pending", "success"]), str)
    assert_type(gateway.client(), WonderClient)
    assert_type(gateway.async_client(), AsyncWonderClient)
    assert_type(gateway.environ, dict[str, str])
    assert_type(gateway.base_url, str)
    assert_type(gateway.token_arguments, dict[str, str])
    assert_type(gateway.clock_offset, float)
    assert_type(gateway.requests, list[SimulatedRequest])
    assert_type(request.token, str | None)
    assert_type(request.status, int | None)
    assert_type(request.verdict, Verdict)
    assert_type(verdict.rejection, Rejection | None)
    assert_type(verdict.string_to_sign, str | None)
    assert_type(rejection.code, str)
    assert_type(TEST_TOKENS, tuple[TestToken, ...])
    assert_type(TEST_TOKENS[0].make(), SimulatedToken)
    gateway.client().check_token(TEST_TOKENS[0].token, customer_uuid=TEST_CUSTOMER_UUID, verify_uuid=TEST_VERIFY_UUID)
    SimulatedGateway(requires_customer_uuid=True, requires_verify_uuid=True, envelope="error_code")
    SimulatedGateway(code="0", echo_paths=ECHO_PATHS[1:])
    SimulatedGateway(code=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with SimulatedGateway(port=8080) as same:
        assert_type(same, SimulatedGateway)
    token = gateway.add_token(after=1.5, card=None)
    gateway.inject(Fault(status=502, headers={"Retry-After": "1"}, times=2), token=token)
    gateway.approve(token)
    gateway.decline(UUID(token), error_code="E1")
    gateway.clock_offset = 600
    gateway.reset()


def test_plugin(wonder_gateway: SimulatedGateway) -> None:
    assert_type(wonder_gateway.client().check_token(wonder_gateway.add_token()), PaymentToken)


fixtures = [wonder_gateway]
