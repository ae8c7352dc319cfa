"""PaymentToken and Card: what the caller gets."""

import calendar
import copy
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from wonder_payment import Card, PaymentToken, TokenState, TokenType

CONTRACT = yaml.safe_load((Path(__file__).parent.parent / "openapi.yaml").read_text(encoding="utf-8"))

TOKEN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
NUMBER = "4111111111111234"
HOLDER = "ADA LOVELACE"


def card(**fields: Any) -> Card:
    known = {
        "number": NUMBER,
        "exp_month": "12",
        "exp_year": "2031",
        "holder_name": HOLDER,
        "brand": "visa",
        "billing_currency": "HKD",
    }
    return Card(**{**known, **fields})


def token(**fields: Any) -> PaymentToken:
    known = {
        "token": TOKEN,
        "token_type": "CreditCard",
        "state": "success",
        "is_default": True,
        "card": card(),
        "request_id": "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11",
        "extra": {"verify_url": "https://acs.example/?secret=hunter2"},
    }
    return PaymentToken(**{**known, **fields})


A_CARD_OR_TOKEN = pytest.mark.parametrize("make", [card, token])


# What they show


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, lambda thing: repr([thing])])
@A_CARD_OR_TOKEN
def test_no_more_than_the_last_four_are_shown_and_no_holder_name(
    make: Callable[[], Any], show: Callable[[Any], str]
) -> None:
    shown = show(make())
    hidden = [TOKEN[-5:], NUMBER[-5:], TOKEN[:8], NUMBER[:4], *HOLDER.split(), "hunter2", "acs.example"]
    assert [secret for secret in hidden if secret in shown] == []
    assert NUMBER[-4:] in shown


def test_a_token_shows_its_last_four_its_state_and_its_request_id() -> None:
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
def test_a_card_shows_at_most_the_last_four_of_its_number(number: str | None, shown: str | None) -> None:
    assert f"number={shown!r}," in repr(card(number=number))


@pytest.mark.parametrize("field", ["error_code", "error_message"])
@pytest.mark.parametrize("secret", [TOKEN, NUMBER, "4111-1111-1111-1234", "4111 1111 1111 1234"])
def test_a_secret_in_the_gateways_words_is_not_shown(field: str, secret: str) -> None:
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


# What they are


@A_CARD_OR_TOKEN
def test_each_field_is_frozen(make: Callable[[], Any]) -> None:
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
def test_the_fields_are_given_by_name(make: Callable[[], Any]) -> None:
    thing = make()
    with pytest.raises(TypeError, match="positional"):
        type(thing)(*attrs.astuple(thing, recurse=False))


@A_CARD_OR_TOKEN
def test_equal_fields_make_equal_things_of_one_hash(make: Callable[[], Any]) -> None:
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
def test_one_other_field_makes_another_thing(one: Any, other: Any) -> None:
    assert one != other


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@A_CARD_OR_TOKEN
def test_they_survive_pickle(make: Callable[[], Any], protocol: int) -> None:
    again = pickle.loads(pickle.dumps(make(), protocol))  # noqa: S301
    assert again == make()
    assert repr(again) == repr(make())
    assert type(again) is type(make())


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, attrs.evolve])
@A_CARD_OR_TOKEN
def test_they_survive_copy(make: Callable[[], Any], copied: Callable[[Any], Any]) -> None:
    thing = make()
    again = copied(thing)
    assert again == thing
    assert again is not thing


def test_a_known_state_or_type_is_of_its_enum_after_pickle_and_copy_too() -> None:
    for again in (copy.deepcopy(token()), pickle.loads(pickle.dumps(token()))):  # noqa: S301
        assert (type(again.state), type(again.token_type)) == (TokenState, TokenType)


def test_what_may_be_absent_has_a_default() -> None:
    bare = PaymentToken(token=TOKEN, token_type="CreditCard", state="pending", is_default=False)
    assert (bare.error_code, bare.error_message, bare.card, bare.request_id, bare.extra) == (None, None, None, None, {})
    assert set(attrs.asdict(Card()).values()) == {None}
    assert hash(Card()) == hash(Card())


# Enums


def test_the_states_are_the_contracts() -> None:
    assert [state.value for state in TokenState] == CONTRACT["components"]["schemas"]["TokenState"]["enum"]


def test_the_token_types_are_the_contracts() -> None:
    assert [kind.value for kind in TokenType] == CONTRACT["components"]["schemas"]["TokenType"]["enum"]


@pytest.mark.parametrize("kind", list(TokenType))
def test_a_known_token_type_is_an_enum_and_its_text(kind: TokenType) -> None:
    assert token(token_type=kind.value).token_type is kind
    assert token(token_type=kind).token_type == str(kind)


@pytest.mark.parametrize("kind", ["Alipay", "Wechatpay", "creditcard", "CreditCard ", "", "信用卡"])
def test_an_unknown_token_type_is_kept_as_it_came(kind: str) -> None:
    kept = token(token_type=kind).token_type
    assert (kept, type(kept)) == (kind, str)


@pytest.mark.parametrize(
    ("state", "verified", "failed", "pending"),
    [
        ("success", True, False, False),
        ("failed", False, True, False),
        ("pending", False, False, True),
        (TokenState.SUCCESS, True, False, False),
        (TokenState.FAILED, False, True, False),
        (TokenState.PENDING, False, False, True),
        ("reviewing", False, False, True),
        ("SUCCESS", False, False, True),
        ("Failed", False, False, True),
        ("success ", False, False, True),
        ("", False, False, True),
    ],
)
def test_a_token_is_verified_or_failed_or_else_pending(
    state: str, *, verified: bool, failed: bool, pending: bool
) -> None:
    answer = token(state=state)
    assert (answer.is_verified, answer.is_failed, answer.is_pending) == (verified, failed, pending)


@pytest.mark.parametrize("state", ["reviewing", "SUCCESS", ""])
def test_an_unknown_state_is_kept_as_it_came(state: str) -> None:
    kept = token(state=state).state
    assert (kept, type(kept)) == (state, str)


# When a card expires


@pytest.mark.parametrize(
    ("exp_month", "exp_year", "wanted"),
    [
        *[(str(month), "2027", date(2027, month, calendar.monthrange(2027, month)[1])) for month in range(1, 13)],
        *[(f"{month:02}", "27", date(2027, month, calendar.monthrange(2027, month)[1])) for month in range(1, 13)],
        ("02", "2028", date(2028, 2, 29)),
        ("2", "28", date(2028, 2, 29)),
        ("02", "2100", date(2100, 2, 28)),
        ("02", "2000", date(2000, 2, 29)),
        ("12", "00", date(2000, 12, 31)),
        ("12", "99", date(2099, 12, 31)),
        ("12", "9999", date(9999, 12, 31)),
        (" 12 ", "\t2031\n", date(2031, 12, 31)),
        ("12", "1999", date(1999, 12, 31)),
        ("13", "2027", None),
        ("0", "2027", None),
        ("00", "2027", None),
        ("99", "99", None),
        ("12", "0000", None),
        ("12", "127", None),
        ("12", "7", None),
        ("12", "20270", None),
        ("012", "2027", None),
        ("-1", "2027", None),
        ("12", "-027", None),
        ("+1", "2027", None),
        ("1.", "2027", None),
        ("1 2", "2027", None),
        ("1e", "2027", None),
        ("1_", "2_27", None),
        ("Dec", "2027", None),
        ("**", "****", None),
        ("\u00b2", "2027", None),
        ("12/27", "12/27", None),
        ("12", "", None),
        ("", "2027", None),
        ("", "", None),
        ("12", None, None),
        (None, "2027", None),
        (None, None, None),
    ],
)
def test_a_card_is_good_until_its_months_last_day(
    exp_month: str | None, exp_year: str | None, wanted: date | None
) -> None:
    assert card(exp_month=exp_month, exp_year=exp_year).expires_on == wanted


@pytest.mark.parametrize(
    ("on", "expired"),
    [
        (date(2028, 1, 31), False),
        (date(2028, 2, 28), False),
        (date(2028, 2, 29), False),
        (date(2028, 3, 1), True),
        (date(2029, 1, 1), True),
        (date.min, False),
        (date.max, True),
    ],
)
def test_a_card_is_expired_from_the_day_after(on: date, *, expired: bool) -> None:
    assert card(exp_month="02", exp_year="28").is_expired(on) is expired
    assert card(exp_month="02", exp_year="28").is_expired(on=on) is expired


@pytest.mark.parametrize(("days", "expired"), [(-40, True), (0, False), (40, False)])
def test_a_card_is_judged_by_today_unless_a_day_is_given(days: int, *, expired: bool) -> None:
    month = datetime.now(UTC).date() + timedelta(days=days)
    assert card(exp_month=f"{month:%m}", exp_year=f"{month:%Y}").is_expired() is expired


@pytest.mark.parametrize(("exp_month", "exp_year"), [(None, None), ("13", "2027"), ("**", "**")])
def test_a_card_whose_expiry_cannot_be_read_is_not_expired(exp_month: str | None, exp_year: str | None) -> None:
    assert card(exp_month=exp_month, exp_year=exp_year).is_expired(date.max) is False


# What they refuse


WRONG_TEXT: list[Any] = [
    4111111111111234,
    4.5,
    True,
    b"4111111111111234",
    ["4111111111111234"],
    {"4111111111111234": 1},
]


WRONG_TYPES = [
    *[(card, field.name, value) for field in attrs.fields(Card) for value in WRONG_TEXT],
    *[(token, field, value) for field in ("token", "token_type", "state") for value in [*WRONG_TEXT, None]],
    *[(token, field, value) for field in ("error_code", "error_message", "request_id") for value in WRONG_TEXT],
    *[(token, "is_default", value) for value in ("4111111111111234", "true", 1, 0, None, [])],
    *[(token, "card", value) for value in ("4111111111111234", {"number": "4111111111111234"}, [], False)],
]


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [pytest.param(*row, id=f"{row[0].__name__}-{row[1]}-{row[2]!r}") for row in WRONG_TYPES],
)
def test_a_wrong_type_is_a_type_error_that_names_the_field_and_not_the_value(
    make: Callable[..., Any], field: str, value: Any
) -> None:
    with pytest.raises(TypeError, match=rf"^{field} is {type(value).__name__}, not ") as caught:
        make(**{field: value})
    error: BaseException | None = caught.value
    while error is not None:
        assert "4111" not in repr(error)
        error = error.__cause__ or error.__context__
