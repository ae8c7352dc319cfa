"""PaymentToken and Card: the result of a check."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from sample_tokens import HOLDER, NUMBER, TOKEN, card, token
from wonder_payment import Card, PaymentToken, TokenState, TokenType
from wonder_payment_client.models import CheckPaymentTokenResponse

CONTRACT = yaml.safe_load((Path(__file__).parent.parent / "openapi.yaml").read_text(encoding="utf-8"))


A_CARD_OR_TOKEN = pytest.mark.parametrize("make", [card, token])


# repr and str


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, lambda thing: repr([thing])])
@A_CARD_OR_TOKEN
def test_a_repr_shows_the_last_four_characters_and_no_cardholder_name(
    make: Callable[[], Any], show: Callable[[Any], str]
) -> None:
    shown = show(make())
    hidden = [TOKEN[-5:], NUMBER[-5:], TOKEN[:8], NUMBER[:4], *HOLDER.split(), "hunter2", "acs.example"]
    assert [secret for secret in hidden if secret in shown] == []
    assert NUMBER[-4:] in shown


def test_the_repr_of_a_token_shows_its_state_and_its_request_id() -> None:
    shown = repr(token())
    assert [part for part in ("…4bed", "'success'", "'CreditCard'", "7f1a3c52") if part not in shown] == []


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (NUMBER, "…1234"),
        ("411111******1234", "…1234"),
        ("4111 1111 1111 1234", "…1234"),
        ("1234", "…1234"),
        ("12", "…12"),
        ("", ""),
        (None, None),
    ],
)
def test_the_repr_of_a_card_shows_at_most_the_last_four_of_its_number(number: str | None, shown: str | None) -> None:
    assert f"number={shown!r}," in repr(card(number=number))


@pytest.mark.parametrize("field", ["error_code", "error_message"])
@pytest.mark.parametrize("secret", [TOKEN, NUMBER, "4111-1111-1111-1234", "4111 1111 1111 1234"])
def test_a_secret_in_an_error_message_is_not_shown(field: str, secret: str) -> None:
    failed = token(state="failed", **{field: f"card {secret} was declined"})
    assert secret not in repr(failed)
    assert "was declined" in repr(failed)
    assert secret in getattr(failed, field)


@pytest.mark.parametrize(
    ("number", "last4"),
    [(NUMBER, "1234"), ("**** 5678", "5678"), ("1234", "1234"), ("12", "12"), ("", None), (None, None)],
)
def test_last4_is_the_end_of_the_number(number: str | None, last4: str | None) -> None:
    assert card(number=number).last4 == last4


# Values


@A_CARD_OR_TOKEN
def test_fields_are_frozen(make: Callable[[], Any]) -> None:
    thing = make()
    for field in attrs.fields_dict(type(thing)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(thing, field, None)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            delattr(thing, field)
    with pytest.raises(AttributeError):
        thing.another = None
    assert thing == make()


@A_CARD_OR_TOKEN
def test_fields_are_keyword_only(make: Callable[[], Any]) -> None:
    thing = make()
    with pytest.raises(TypeError, match="positional"):
        type(thing)(*attrs.astuple(thing, recurse=False))


@A_CARD_OR_TOKEN
def test_objects_with_equal_fields_are_equal_and_have_one_hash(make: Callable[[], Any]) -> None:
    assert make() == make()
    assert hash(make()) == hash(make())
    assert {make(), make()} == {make()}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (card(), card(number="4111111111111235")),
        (card(), card(holder_name=None)),
        (card(), card(exp_year="31")),
        (card(), "card"),
        (token(), token(token=TOKEN.upper())),
        (token(), token(state="failed")),
        (token(), token(is_default=False)),
        (token(), token(card=None)),
        (token(), token(request_id=None)),
        (token(), token(extra={})),
        (token(), card()),
    ],
)
def test_objects_that_differ_in_one_field_are_not_equal(one: Any, other: Any) -> None:
    assert one != other


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@A_CARD_OR_TOKEN
def test_a_pickle_comes_back_equal(make: Callable[[], Any], protocol: int) -> None:
    again = pickle.loads(pickle.dumps(make(), protocol))  # noqa: S301
    assert again == make()
    assert repr(again) == repr(make())
    assert type(again) is type(make())


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, attrs.evolve])
@A_CARD_OR_TOKEN
def test_a_copy_is_equal(make: Callable[[], Any], copied: Callable[[Any], Any]) -> None:
    thing = make()
    again = copied(thing)
    assert again == thing
    assert again is not thing


def test_enum_members_stay_enum_members_in_pickles_and_copies() -> None:
    for again in (copy.deepcopy(token()), pickle.loads(pickle.dumps(token()))):  # noqa: S301
        assert (type(again.state), type(again.token_type)) == (TokenState, TokenType)


def test_optional_fields_have_defaults() -> None:
    bare = PaymentToken(token=TOKEN, token_type="CreditCard", state="pending", is_default=False)
    assert (bare.error_code, bare.error_message, bare.card, bare.request_id, bare.extra) == (None, None, None, None, {})
    assert set(attrs.asdict(Card()).values()) == {None}
    assert hash(Card()) == hash(Card())


# From a response


def from_response(request_id: str | None = "id", **fields: Any) -> PaymentToken:
    """Return what a response of the gateway with these fields becomes."""
    token = {"token": TOKEN, "token_type": "CreditCard", "state": "success", "default": True} | fields
    envelope = {"code": 0, "message": "", "data": {"payment_token": token}}
    return PaymentToken.from_model(CheckPaymentTokenResponse.from_dict(envelope), request_id=request_id)


def test_a_response_with_all_fields_fills_all_attributes() -> None:
    fields = {field.name: field.name for field in attrs.fields(Card)}
    result = from_response(state="failed", error_code="E1", error_msg="declined", credit_card=fields)
    assert result == PaymentToken(
        token=TOKEN,
        token_type=TokenType.CREDIT_CARD,
        state=TokenState.FAILED,
        is_default=True,
        error_code="E1",
        error_message="declined",
        card=Card(**fields),
        request_id="id",
    )


@pytest.mark.parametrize("fields", [{}, {"error_code": None, "error_msg": None, "credit_card": None}])
def test_a_field_that_is_absent_or_null_is_none(fields: dict[str, None]) -> None:
    result = from_response(None, **fields)
    assert (result.error_code, result.error_message, result.card, result.request_id) == (None, None, None, None)
    assert from_response(credit_card={"brand": None}).card == Card()


def test_fields_that_the_contract_does_not_know_are_extra() -> None:
    envelope = {"trace": 1, "code": 0, "message": ""}
    token = {"token": TOKEN, "token_type": "Alipay", "state": "pending", "default": False, "verify_url": "https://a"}
    token["credit_card"] = {"brand": "visa", "level": "gold"}
    response = envelope | {"data": {"payment_token": token, "page": 2}}
    result = PaymentToken.from_model(CheckPaymentTokenResponse.from_dict(response), request_id=None)
    assert result.extra == {"trace": 1, "page": 2, "verify_url": "https://a", "credit_card": {"level": "gold"}}
    assert result.card == Card(brand="visa")


@pytest.mark.parametrize(("kind", "schema"), [(TokenState, "TokenState"), (TokenType, "TokenType")])
def test_the_values_of_the_enums_are_those_of_the_contract(kind: type[TokenState | TokenType], schema: str) -> None:
    assert {value.value for value in kind} == {*CONTRACT["components"]["schemas"][schema]["enum"]}


@pytest.mark.parametrize("kind", list(TokenType))
def test_a_known_token_type_is_a_member_of_the_enum(kind: TokenType) -> None:
    assert from_response(token_type=kind.value).token_type is kind
    assert kind == str(kind) == kind.value


@pytest.mark.parametrize("kind", ["Alipay", "Wechatpay", "creditcard", "CreditCard ", "", "信用卡"])
def test_an_unknown_token_type_stays_a_string(kind: str) -> None:
    kept = from_response(token_type=kind).token_type
    assert (kept, type(kept)) == (kind, str)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        *[(state, "verified") for state in ("success", TokenState.SUCCESS)],
        *[(state, "failed") for state in ("failed", TokenState.FAILED)],
        *[(state, "pending") for state in ("pending", TokenState.PENDING)],
        *[(state, "pending") for state in ("reviewing", "SUCCESS", "Failed", "success ", "")],
    ],
)
def test_a_token_is_verified_or_failed_or_else_pending(state: str, outcome: str) -> None:
    for result in (token(state=state), from_response(state=str(state))):
        assert [name for name in ("verified", "failed", "pending") if getattr(result, f"is_{name}")] == [outcome]


@pytest.mark.parametrize("state", list(TokenState))
def test_a_known_state_is_a_member_of_the_enum(state: TokenState) -> None:
    assert from_response(state=state.value).state is state


@pytest.mark.parametrize("state", ["reviewing", "SUCCESS", ""])
def test_an_unknown_state_stays_a_string(state: str) -> None:
    kept = from_response(state=state).state
    assert (kept, type(kept)) == (state, str)
