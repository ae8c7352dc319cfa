"""A change of openapi.yaml is told in words, and whether it breaks callers."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.contract import changes, told

ROOT = Path(__file__).parents[2]
CONTRACT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
PATH = "/svc/payment/api/v1/openapi/customers/{customer_uuid}/payment_tokens/check"
POST = f"POST {PATH}"
BODY = "the request's CheckPaymentTokenRequest"
REFERENCE = "the request's PaymentTokenReference"
TOKEN = "the answer's PaymentToken"
SIGNED = "the header Credential, the header Nonce, the header Signature"
CARD = "the answer's CreditCard"
ERROR = "the answer's ErrorResponse"

BREAKS, FINE = True, False
Document = dict[str, Any]


def schema(document: Document, name: str) -> Any:
    return document["components"]["schemas"][name]


def operation(document: Document) -> Any:
    return next(iter(document["paths"].values()))["post"]


def put(name: str, *path: str, **value: Any) -> Callable[[Document], None]:
    """Set keywords of a component's schema, or of one within it; None takes one away."""

    def change(document: Document) -> None:
        target = schema(document, name)
        for part in path:
            target = target[part]
        for key, one in value.items():
            target.pop(key, None)
            if one is not None:
                target[key] = one

    return change


def field(name: str, before: str | None, after: str | None, content: Any = None) -> Callable[[Document], None]:
    """Add, take away or rename a field of a component."""

    def change(document: Document) -> None:
        target = schema(document, name)
        target["required"] = [
            after if one == before else one for one in target.get("required", []) if one != before or after
        ]
        properties = target["properties"]
        taken = properties.pop(before, None) if before else content
        if after:
            properties[after] = taken

    return change


def parameter(index: int, **value: Any) -> Callable[[Document], None]:
    return lambda document: operation(document)["parameters"][index].update(value)


def added_parameter(*, required: bool) -> Callable[[Document], None]:
    added = {"name": "X-Shop", "in": "header", "required": required, "schema": {"type": "string"}}
    return lambda document: operation(document)["parameters"].append(added)


def moved(path: str) -> Callable[[Document], None]:
    return lambda document: document["paths"].update({path: document["paths"].pop(PATH)})


def another_type(document: Document) -> None:
    content = operation(document)["requestBody"]["content"]
    content["text/plain"] = content.pop("application/json") | {"encoding": {}}


def renamed_component(document: Document) -> None:
    schemas = document["components"]["schemas"]
    schemas["Card"] = schemas.pop("CreditCard")
    schemas["PaymentToken"]["properties"]["credit_card"]["anyOf"][0]["$ref"] = "#/components/schemas/Card"


def notes(document: Document) -> None:
    document["info"]["version"] = "9.9.9"
    operation(document)["summary"] = "Another."
    schema(document, "PaymentToken")["properties"]["token"]["description"] = "Another."
    schema(document, "PaymentToken")["properties"]["default"]["x-order"] = 1
    operation(document)["parameters"][1]["name"] = "x-request-id"
    document["components"]["securitySchemes"]["key"] = document["components"]["securitySchemes"].pop("nonce")
    document["security"] = [{"signature": [], "credential": [], "key": []}]


def recursive(document: Document) -> None:
    schema(document, "CreditCard")["properties"]["next"] = {"$ref": "#/components/schemas/CreditCard"}


# The same in a request and in an answer has its rows side by side: what is fine in one breaks in the other.
TABLE: list[tuple[Callable[[Document], None], list[tuple[str, bool]]]] = [
    (notes, []),
    (renamed_component, []),
    # A field.
    (field("PaymentTokenReference", "token", None), [(f"{REFERENCE}.token is gone", BREAKS)]),
    (field("PaymentTokenReference", "token", "id"), [(f"{REFERENCE}.token is id now", BREAKS)]),
    (field("CreditCard", "brand", None), [(f"{CARD}.brand is gone", BREAKS)]),
    (field("CreditCard", None, "country", {"type": "string"}), [(f"{CARD}.country is new", FINE)]),
    (field("PaymentTokenReference", None, "shop", {"type": "string"}), [(f"{REFERENCE}.shop is new", FINE)]),
    (field("PaymentToken", "error_code", "failure"), [(f"{TOKEN}.error_code is failure now", BREAKS)]),
    (field("CreditCard", "number", "pan"), [(f"{CARD}.number is pan now", BREAKS)]),
    (
        put("PaymentTokenReference", required=["token", "shop"]),
        [(f"{REFERENCE}.shop is new, and required", BREAKS)],
    ),
    (put("PaymentTokenReference", required=[]), [(f"{REFERENCE}.token may be left out now", FINE)]),
    (put("CheckPaymentTokenRequest", required=[]), [(f"{BODY}.payment_token may be left out now", FINE)]),
    (put("CreditCard", required=["number"]), [(f"{CARD}.number is always there now", FINE)]),
    (
        put("PaymentToken", required=["token_type", "token", "state"]),
        [(f"{TOKEN}.default may be missing now", BREAKS)],
    ),
    (put("CreditCard", additionalProperties=False), [(f"an unnamed field of {CARD} is anything no longer", FINE)]),
    (
        put("PaymentTokenReference", additionalProperties=False),
        [(f"an unnamed field of {REFERENCE} takes anything no longer", BREAKS)],
    ),
    (recursive, [(f"{CARD}.next is new", FINE)]),
    # A type.
    (
        put("PaymentTokenReference", "properties", "token", type=["string", "integer"]),
        [(f"{REFERENCE}.token takes integer now", FINE)],
    ),
    (put("CreditCard", "properties", "number", type="string"), [(f"{CARD}.number is null no longer", FINE)]),
    (put("PaymentToken", "properties", "token", type=["string", "null"]), [(f"{TOKEN}.token may be null now", BREAKS)]),
    (
        put("PaymentTokenReference", "properties", "token", type="integer"),
        [(f"{REFERENCE}.token takes string no longer", BREAKS), (f"{REFERENCE}.token takes integer now", FINE)],
    ),
    (
        put("CheckPaymentTokenResponse", "properties", "code", type="integer"),
        [
            ("the answer's CheckPaymentTokenResponse.code is number no longer", FINE),
            ("the answer's CheckPaymentTokenResponse.code may be integer now", FINE),
        ],
    ),
    (put("ErrorResponse", "properties", "code", type="string"), [(f"{ERROR}.code is number no longer", FINE)]),
    (
        put("ErrorResponse", "properties", "message", type=None),
        [(f"{ERROR}.message may be anything now", BREAKS), (f"{ERROR}.message is string no longer", FINE)],
    ),
    (
        put("PaymentToken", "properties", "credit_card", anyOf=[{"$ref": "#/components/schemas/CreditCard"}]),
        [(f"{TOKEN}.credit_card is null no longer", FINE)],
    ),
    # The values listed.
    (put("Language", enum=["en", "zh-HK"]), [('the request\'s Language takes "zh-CN" no longer', BREAKS)]),
    (put("Language", enum=["en", "zh-HK", "zh-CN", "fr"]), [('the request\'s Language takes "fr" now', FINE)]),
    (put("Language", enum=None), [("the request's Language takes any value now", FINE)]),
    (
        put("Language", enum=None, const="en"),
        [
            ('the request\'s Language takes "zh-HK" no longer', BREAKS),
            ('the request\'s Language takes "zh-CN" no longer', BREAKS),
        ],
    ),
    # An open list: any other string was let in before.
    (
        put("TokenState", enum=["pending", "success", "failed", "expired"]),
        [('the answer\'s TokenState may be "expired" now', FINE)],
    ),
    (put("TokenState", enum=["success", "failed"]), [('the answer\'s TokenState is "pending" no longer', FINE)]),
    (
        put("PaymentToken", "properties", "state", anyOf=[{"$ref": "#/components/schemas/TokenState"}]),
        [(f"{TOKEN}.state is string no longer", FINE)],
    ),
    (
        put("PaymentToken", "properties", "token", enum=["a", "b"]),
        [(f'{TOKEN}.token may be "a", "b" alone now', FINE)],
    ),
    # Bounds, formats and patterns.
    (
        put("PaymentTokenReference", "properties", "token", format=None),
        [(f"{REFERENCE}.token has no format any more (was uuid)", FINE)],
    ),
    (put("PaymentToken", "properties", "token", format="uuid"), [(f"{TOKEN}.token has format uuid now", FINE)]),
    (
        put("PaymentTokenReference", "properties", "token", format="date"),
        [(f"{REFERENCE}.token has format date now (was uuid)", BREAKS)],
    ),
    (
        put("PaymentTokenReference", "properties", "token", maxLength=36),
        [(f"{REFERENCE}.token has maxLength 36 now", BREAKS)],
    ),
    (put("PaymentToken", "properties", "token", minLength=1), [(f"{TOKEN}.token has minLength 1 now", FINE)]),
    # The rest of an operation.
    (moved(PATH.replace("customer_uuid", "id")), []),
    (moved("/v2/check"), [(f"{POST} is POST /v2/check now", BREAKS)]),
    (lambda document: document["paths"].clear(), [(f"{POST} is gone", BREAKS)]),
    (lambda document: document["paths"].update({"/new": {"get": {}}}), [("GET /new is new", FINE)]),
    (
        lambda document: operation(document).update(operationId="check"),
        [(f"{POST} has the operationId check now (was check_payment_token)", BREAKS)],
    ),
    (lambda document: operation(document).update(deprecated=True), [(f"{POST} is deprecated", FINE)]),
    (
        lambda document: operation(document).update(callbacks={"a": {}}),
        [(f"{POST} has another callbacks: see for yourself what that means", BREAKS)],
    ),
    (parameter(0, name="uuid"), [(f"{POST}: path customer_uuid is path uuid now", BREAKS)]),
    (parameter(1, name="X-Trace"), [(f"{POST}: header x-request-id is header x-trace now", BREAKS)]),
    (parameter(2, required=True), [(f"{POST}: header x-i18n-lang must be sent now", BREAKS)]),
    (added_parameter(required=True), [(f"{POST}: header x-shop is new, and required", BREAKS)]),
    (added_parameter(required=False), [(f"{POST}: header x-shop is new", FINE)]),
    (lambda document: operation(document)["parameters"].pop(), [(f"{POST}: header x-i18n-lang is gone", BREAKS)]),
    (
        parameter(0, schema=operation(CONTRACT)["parameters"][0]["schema"] | {"default": "me"}),
        [(f'{POST}: path customer_uuid has the default "me" now (was "uuid")', BREAKS)],
    ),
    (lambda document: operation(document).pop("requestBody"), [(f"{POST}: the body is gone", BREAKS)]),
    (
        lambda document: operation(document)["requestBody"].update(required=False),
        [(f"{POST}: the body may be left out now", FINE)],
    ),
    (
        another_type,
        [
            (f"{POST}: the body as application/json is gone", BREAKS),
            (f"{POST}: the body as text/plain is new", FINE),
        ],
    ),
    (lambda document: operation(document)["responses"].pop("200"), [(f"{POST}: the answer 200 is gone", BREAKS)]),
    (lambda document: operation(document)["responses"].pop("422"), [(f"{POST}: the answer 422 is gone", FINE)]),
    (
        lambda document: operation(document)["responses"].update({"202": {}}),
        [(f"{POST}: the answer 202 is new", BREAKS)],
    ),
    (
        lambda document: operation(document)["responses"].update({"409": {}}),
        [(f"{POST}: the answer 409 is new", FINE)],
    ),
    (
        lambda document: operation(document)["responses"]["429"].pop("headers"),
        [(f"{POST}: the answer 429: header Retry-After is gone", BREAKS)],
    ),
    # Servers and security.
    (lambda document: document["servers"].pop(), [("the server https://gateway.wonder.today is gone", BREAKS)]),
    (
        lambda document: document["servers"].append({"url": "https://eu.wonder.today"}),
        [("the server https://eu.wonder.today is new", FINE)],
    ),
    (
        lambda document: document["security"][0].pop("nonce"),
        [(f"{POST} is to be called with the header Credential, the header Signature", FINE)],
    ),
    (
        lambda document: document["components"]["securitySchemes"]["nonce"].update(name="X-Nonce"),
        [
            (
                f"{POST} is not to be called with {SIGNED} any more",
                BREAKS,
            ),
            (f"{POST} is to be called with the header Credential, the header Signature, the header X-Nonce", FINE),
        ],
    ),
]


@pytest.mark.parametrize(("mutate", "wanted"), TABLE, ids=[row[1][0][0] if row[1] else "nothing" for row in TABLE])
def test_a_change_is_told_with_whether_it_breaks_callers(
    mutate: Callable[[Document], None], wanted: list[tuple[str, bool]]
) -> None:
    new = copy.deepcopy(CONTRACT)
    mutate(new)
    assert changes(CONTRACT, new) == wanted


def test_what_breaks_stands_first_and_no_change_is_said_to_be_none() -> None:
    new = copy.deepcopy(CONTRACT)
    field("CreditCard", None, "country", {})(new)
    field("CreditCard", "brand", None)(new)
    assert told(changes(CONTRACT, new)) == f"breaks  {CARD}.brand is gone\nfine    {CARD}.country is new"
    assert told(changes(CONTRACT, CONTRACT)) == "Nothing changed for callers."


def test_a_new_field_breaks_an_answer_whose_object_was_closed() -> None:
    old = copy.deepcopy(CONTRACT)
    put("CreditCard", additionalProperties=False)(old)
    new = copy.deepcopy(old)
    field("CreditCard", None, "country", {})(new)
    assert changes(old, new) == [(f"{CARD}.country is new", BREAKS)]


@pytest.mark.parametrize(
    ("name", "where", "grows"), [("PaymentTokenReference", REFERENCE, FINE), ("PaymentToken", TOKEN, BREAKS)]
)
@pytest.mark.parametrize(("bound", "less", "more"), [("maxLength", 36, 40), ("minLength", 40, 36)])
def test_a_bound_that_moves_breaks_the_side_that_it_leaves_out(
    *, name: str, where: str, grows: bool, bound: str, less: int, more: int
) -> None:
    tight, loose = copy.deepcopy(CONTRACT), copy.deepcopy(CONTRACT)
    put(name, "properties", "token", **{bound: less})(tight)
    put(name, "properties", "token", **{bound: more})(loose)
    assert changes(tight, loose) == [(f"{where}.token has {bound} {more} now (was {less})", grows)]
    assert changes(loose, tight) == [(f"{where}.token has {bound} {less} now (was {more})", not grows)]


def contract_diff(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "release.contract", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_command_compares_with_a_revision(commit: Callable[..., Path]) -> None:
    repository = commit({})
    done = contract_diff(repository, "HEAD")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing changed for callers.\n", "")
    new = copy.deepcopy(CONTRACT)
    put("Language", enum=["en"])(new)
    (repository / "openapi.yaml").write_text(yaml.safe_dump(new))
    done = contract_diff(repository, "HEAD")
    assert (done.returncode, done.stderr) == (0, "")
    assert 'breaks  the request\'s Language takes "zh-CN" no longer\n' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told_of"), [((), "Name the git revision"), (("nope",), "knows no openapi.yaml at 'nope'")]
)
def test_the_command_says_in_one_line_what_it_lacks(
    commit: Callable[..., Path], arguments: tuple[str, ...], told_of: str
) -> None:
    done = contract_diff(commit({}), *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert told_of in done.stderr
