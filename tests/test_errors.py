"""The exceptions, the public names, and what may be quoted of foreign text."""

import base64
import copy
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest
import wonder_payment
from conftest import TOKEN
from wonder_payment import APIError, InvalidSignatureError, NetworkError, StillPendingError, WonderError, errors
from wonder_payment._redact import redact, without_secrets

REQUEST_ID = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"

KINDS: dict[str, type[WonderError]] = {
    name: thing for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


# The tree


def documented_tree() -> Iterator[tuple[str, str | None]]:
    """Yield each class of the tree in the module's docstring with its parent."""
    branch: list[tuple[int, str]] = []
    line_of_tree = re.compile(r"(?P<lines>[ │├└─]+)(?P<name>[A-Za-z]+)(\s{2,}.*)?")
    for line in (errors.__doc__ or "").splitlines():
        if match := line_of_tree.fullmatch(line):
            depth = len(match["lines"])
            branch = [(parent_depth, parent) for parent_depth, parent in branch if parent_depth < depth]
            yield match["name"], branch[-1][1] if branch else None
            branch.append((depth, match["name"]))


def test_the_classes_are_the_tree_of_the_docstring() -> None:
    real = {name: kind.__bases__[0].__name__ for name, kind in KINDS.items()}
    assert {**real, "WonderError": None} == dict(documented_tree())


@each_kind
def test_every_error_is_a_wonder_error_with_a_docstring(kind: type[WonderError]) -> None:
    assert issubclass(kind, WonderError)
    assert kind.__doc__


def test_only_an_invalid_token_is_also_a_value_error() -> None:
    assert [name for name, kind in KINDS.items() if issubclass(kind, ValueError)] == ["InvalidTokenError"]


def test_only_failures_that_may_pass_are_transient() -> None:
    transient = {name for name, kind in KINDS.items() if kind.is_transient}
    assert transient == {"NetworkError", "RequestTimeoutError", "RateLimitError", "ServerError"}


# Attributes

API: dict[str, Any] = {
    "status_code": 418,
    "code": "E000002",
    "message": "Invalid Credential Format.",
    "retry_after": 2.5,
}


def full(kind: type[WonderError]) -> WonderError:
    """Return an error of this kind with all its attributes."""
    attributes = API if issubclass(kind, APIError) else {}
    if kind is StillPendingError:
        attributes = {"token": None, "elapsed": 60.0, "polls": 2}
    return kind("What happened.", request_id=REQUEST_ID, attempts=3, **attributes)


@each_kind
def test_an_error_carries_its_attributes(kind: type[WonderError]) -> None:
    error = full(kind)
    assert (error.request_id, error.attempts) == (REQUEST_ID, 3)
    # That one is about a request that came in.
    is_of_a_call = kind is not InvalidSignatureError
    assert str(error) == "What happened." + is_of_a_call * f" (request id {REQUEST_ID}, 3 attempts)"
    if isinstance(error, APIError):
        assert {name: getattr(error, name) for name in API} == API
    bare = kind("What happened.")
    assert (bare.request_id, bare.attempts) == (None, 0)
    assert str(bare) == "What happened." + is_of_a_call * " (nothing was sent)"


@each_kind
def test_an_error_survives_pickle_and_copy(kind: type[WonderError]) -> None:
    error = full(kind)
    error.add_note("during checkout")
    pickles = [pickle.dumps(error, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in (copy.copy(error), copy.deepcopy(error), *map(pickle.loads, pickles)):
        assert twin is not error
        assert type(twin) is kind
        assert (str(twin), repr(twin), twin.args, vars(twin)) == (str(error), repr(error), error.args, vars(error))
        assert twin.__notes__ == ["during checkout"]


def test_an_api_error_may_have_a_status_only() -> None:
    error = APIError("What happened.", status_code=418)
    assert (error.status_code, error.code, error.message, error.retry_after) == (418, None, None, None)


def test_the_message_has_the_attributes_that_were_set_later() -> None:
    error = NetworkError("What happened.")
    error.request_id, error.attempts = REQUEST_ID, 1
    assert str(error) == f"What happened. (request id {REQUEST_ID}, 1 attempt)"
    error.attempts = 2
    assert str(error) == f"What happened. (request id {REQUEST_ID}, 2 attempts)"


# What may be quoted of foreign text

SIGNATURE = base64.b64encode(bytes(range(256))).decode()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (TOKEN, "…4bed"),
        (TOKEN.upper(), "…4BED"),
        (TOKEN.replace("-", ""), "…4bed"),
        (f"token {TOKEN} is unknown", "token …4bed is unknown"),
        (f'"{TOKEN}"', '"…4bed"'),
        (f"({TOKEN}, {TOKEN})", "(…4bed, …4bed)"),
        (f"令牌{TOKEN}無效", "令牌…4bed無效"),
        ("4111111111111234", "…1234"),
        ("4111 1111 1111 1234", "…1234"),
        ("4111-1111-1111-1234", "…1234"),
        ("4111  1111\n1111\t1234", "…1234"),
        ("4111\u00a01111\u00a01111\u00a01234", "…1234"),
        ("378282246310005", "…0005"),
        ("3782 822463 10005", "…0005"),
        ("6011000990139424123", "…4123"),
        ("card 4111111111111234 declined", "card …1234 declined"),
        ("卡號4111111111111234無效", "卡號…1234無效"),
        # Unprintable characters are dropped, and must not hide a secret.
        ("4111\u200b1111\u200b1111\u200b1234", "…1234"),
        ("4111\x001111\x001111\x001234", "…1234"),
        ("1b9d6bcd-bbfd-4b2d-\x009b5d-ab8dfbbd4bed", "…4bed"),
        (SIGNATURE, f"…{SIGNATURE[-4:]}"),
        (f"Signature: {SIGNATURE}", f"Signature: …{SIGNATURE[-4:]}"),
        ("a\nb", "a b"),
        ("a\r\nERROR forged line", "a ERROR forged line"),
        ("a\x1b[31mb", "a[31mb"),
        ("\x00a\x07\x7f\u202eb\u2028c", "ab c"),
        ("  a \t\v\f b  ", "a b"),
        ("a " * 100, "a " * 99 + "a"),
        ("a " * 101, "a " * 100 + "…"),
        ("請 " * 100_000, "請 " * 100 + "…"),
        ("a" * 100_000, "…"),
        ("", ""),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_a_quote_is_one_short_line_without_secrets(text: str, quoted: str) -> None:
    assert redact(text) == quoted


@pytest.mark.parametrize(
    "text",
    [
        "Invalid Credential Format.",
        "E000002",
        "3-D Secure was not completed within 300 s (step 2 of 4).",
        "持卡人驗證失敗, 請重試",
        "签名无效: 请检查您的密钥",
        "Retry after 2026-07-22 10:11:12 UTC",
        "amount 1234567.89 HKD exceeds 99999.99",
        "call +852 2123 4567",
        "order 12345678901",
        "ERR_CARD_DECLINED / insufficient_funds",
        "Die Gültigkeit der Karte ist abgelaufen: bitte prüfen",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate",
        "[Errno 111] Connection refused",
    ],
)
def test_an_ordinary_message_is_quoted_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_secrets_are_cut_out_of_a_long_text_too() -> None:
    text = f"a line\nwith {TOKEN} and {SIGNATURE}\n" * 100
    assert without_secrets(text) == f"a line\nwith …4bed and …{SIGNATURE[-4:]}\n" * 100


# The public names

EXPORTED = {
    *KINDS,
    "AsyncWonderClient",
    "Card",
    "CheckResult",
    "Environment",
    "PaymentToken",
    "PollPolicy",
    "RetryPolicy",
    "TokenChecker",
    "TokenReference",
    "TokenState",
    "TokenType",
    "WonderClient",
    "__version__",
    "check_token",
}


def test_all_lists_every_public_name_once() -> None:
    assert set(wonder_payment.__all__) == EXPORTED
    assert len(wonder_payment.__all__) == len(EXPORTED)
    assert [name for name in EXPORTED if getattr(wonder_payment, name, None) is None] == []
    assert {name: getattr(wonder_payment, name) for name in KINDS} == KINDS
