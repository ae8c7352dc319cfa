"""customer_uuid and verify_uuid: on the wire, for each token of a batch, and when they are wrong."""

import asyncio
import inspect
import json
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import attrs
import httpx
import pytest
import wonder_payment
from conftest import TOKEN, Kind, for_both_clients
from faults.responses import good
from transports import caller
from wonder_payment import AsyncWonderClient, CheckResult, InvalidTokenError, TokenReference, WonderClient

CUSTOMER = "4d0f7f0e-0d5c-4f43-9a4c-0d0d7e6d5d11"
VERIFY = "5f0f9c1e-7a53-4f0c-8f4f-0a2d3c7d9b11"
OTHER = "00000000-0000-4000-8000-000000000001"

Call = Callable[..., Any]


class Wire:
    """A gateway on which every token is verified, and what it received: the customer in the path, and the fields."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, Any]]] = []

    def respond(self, request: httpx.Request) -> httpx.Response:
        fields = json.loads(request.content)["payment_token"]
        self.received.append((request.url.path.split("/")[-3], fields))
        return httpx.Response(200, json=good(token=fields["token"]))

    def call(self, kind: Kind, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of a new client and return its result, or its results in a list."""
        client = caller(kind, self.respond).make()
        if isinstance(client, WonderClient):
            with client:
                result = getattr(client, method)(*arguments, **options)
                return list(result) if method == "check_tokens" else result

        async def call() -> Any:
            async with client:
                result = getattr(client, method)(*arguments, **options)
                return [one async for one in result] if method == "check_tokens" else await result

        return asyncio.run(call())


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture(
    params=["sync check_token", "sync wait_for_token", "async check_token", "async wait_for_token", "wonder_payment"]
)
def call(request: pytest.FixtureRequest, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Each function that checks one token: the methods of both clients, and that of the module."""
    client, _, method = request.param.partition(" ")
    if method:
        return partial(wire.call, {"sync": WonderClient, "async": AsyncWonderClient}[client], method)
    client = caller(WonderClient, wire.respond).make()
    monkeypatch.setattr("wonder_payment.client._default_client", lambda: client)
    return wonder_payment.check_token


@pytest.mark.parametrize(
    ("options", "customer", "fields"),
    [
        ({}, "uuid", {}),
        ({"customer_uuid": None, "verify_uuid": None}, "uuid", {}),
        ({"customer_uuid": "uuid"}, "uuid", {}),
        ({"customer_uuid": CUSTOMER}, CUSTOMER, {}),
        ({"customer_uuid": UUID(CUSTOMER)}, CUSTOMER, {}),
        ({"customer_uuid": CUSTOMER.upper()}, CUSTOMER, {}),
        ({"verify_uuid": VERIFY}, "uuid", {"verify_uuid": VERIFY}),
        ({"verify_uuid": UUID(VERIFY)}, "uuid", {"verify_uuid": VERIFY}),
        ({"verify_uuid": VERIFY.upper()}, "uuid", {"verify_uuid": VERIFY}),
        ({"customer_uuid": CUSTOMER, "verify_uuid": VERIFY}, CUSTOMER, {"verify_uuid": VERIFY}),
    ],
)
def test_the_customer_is_in_the_path_and_the_verify_uuid_beside_the_token(
    call: Call, wire: Wire, options: dict[str, Any], customer: str, fields: dict[str, str]
) -> None:
    assert call(TOKEN, **options).is_verified
    assert wire.received == [(customer, {"token": TOKEN, **fields})]


NO_UUIDS = [
    "",
    "me",
    CUSTOMER[:-1],
    CUSTOMER.replace("-", ""),
    f" {CUSTOMER}",
    "4111111111111111",
    17,
    b"uuid",
    [VERIFY],
]
BAD = [
    *((name, value) for name in ("token", "customer_uuid", "verify_uuid") for value in NO_UUIDS),
    *((name, "uuid") for name in ("token", "verify_uuid")),
    ("token", None),
]
for_each_bad_argument = pytest.mark.parametrize(("name", "value"), BAD, ids=repr)


@for_each_bad_argument
def test_a_bad_uuid_is_an_error_that_names_the_argument(call: Call, wire: Wire, name: str, value: Any) -> None:
    with pytest.raises(InvalidTokenError, match=f"^{name} must be a UUID.*nothing was sent") as caught:
        call(**{"token": TOKEN, name: value})
    assert (caught.value.attempts, caught.value.request_id, wire.received) == (0, None, [])
    assert not (isinstance(value, str) and len(value) > 4 and value in str(caught.value))


# A batch


@for_both_clients
def test_each_token_of_a_batch_has_its_own_customer(kind: Kind, wire: Wire) -> None:
    tokens = [
        TokenReference(TOKEN, CUSTOMER, VERIFY),
        TokenReference(UUID(OTHER), customer_uuid=UUID(VERIFY)),
        OTHER,
        UUID(OTHER),
        TokenReference(OTHER, verify_uuid=VERIFY),
    ]
    results: list[CheckResult] = wire.call(kind, "check_tokens", tokens, concurrency=1)
    assert [(result.token_id, result.error) for result in results] == [(TOKEN, None), *[(OTHER, None)] * 4]
    assert wire.received == [
        (CUSTOMER, {"token": TOKEN, "verify_uuid": VERIFY}),
        (VERIFY, {"token": OTHER}),
        *[("uuid", {"token": OTHER})] * 2,
        ("uuid", {"token": OTHER, "verify_uuid": VERIFY}),
    ]


@for_each_bad_argument
@for_both_clients
def test_a_bad_reference_is_an_error_of_its_own_result(kind: Kind, wire: Wire, name: str, value: Any) -> None:
    bad = TokenReference(**{"token": TOKEN, name: value})
    failed, verified = wire.call(kind, "check_tokens", [bad, TokenReference(OTHER, CUSTOMER)], concurrency=1)
    assert isinstance(failed.error, InvalidTokenError)
    assert str(failed.error).startswith(f"{name} must be a UUID")
    assert (failed.token, failed.token_id) == (None, str(bad.token))
    assert (verified.token_id, verified.error) == (OTHER, None)
    assert wire.received == [(CUSTOMER, {"token": OTHER})]


@for_both_clients
def test_a_batch_has_no_customer_of_its_own(kind: Kind, wire: Wire) -> None:
    assert list(inspect.signature(kind.check_tokens).parameters) == ["self", "tokens", "concurrency", "max_per_second"]
    with pytest.raises(TypeError, match="customer_uuid"):
        wire.call(kind, "check_tokens", [TOKEN], customer_uuid=CUSTOMER)


# TokenReference


def test_a_reference_has_a_token_and_optionally_the_other_two() -> None:
    assert attrs.astuple(TokenReference(TOKEN)) == (TOKEN, None, None)
    assert TokenReference(TOKEN, CUSTOMER, VERIFY) == TokenReference(
        token=TOKEN, customer_uuid=CUSTOMER, verify_uuid=VERIFY
    )
    assert {TokenReference(TOKEN), TokenReference(TOKEN)} == {TokenReference(TOKEN)}
    assert TokenReference(TOKEN) != TokenReference(TOKEN, CUSTOMER)
    with pytest.raises(TypeError):
        TokenReference()  # type: ignore[call-arg]


def test_a_reference_is_frozen_and_can_be_pickled() -> None:
    reference = TokenReference(TOKEN, CUSTOMER, VERIFY)
    for name in ("token", "customer_uuid", "verify_uuid", "another"):
        with pytest.raises(AttributeError):
            setattr(reference, name, OTHER)
    assert pickle.loads(pickle.dumps(reference)) == reference  # noqa: S301


@pytest.mark.parametrize("as_given", [str, UUID])
def test_the_repr_of_a_reference_shows_four_characters_of_the_token_and_of_the_verify_uuid(as_given: Any) -> None:
    reference = TokenReference(as_given(TOKEN), CUSTOMER, as_given(VERIFY))
    for shown in (repr(reference), str(reference), repr([reference])):
        assert "'…4bed'" in shown
        assert CUSTOMER in shown
        assert "'…9b11'" in shown
        assert not any(secret in shown for secret in (TOKEN[:8], TOKEN[-5:], VERIFY[:8], VERIFY[-5:]))
    assert (
        repr(TokenReference(as_given(TOKEN))) == "TokenReference(token='…4bed', customer_uuid=None, verify_uuid=None)"
    )
