"""Each change of openapi.yaml is described, with whether it breaks callers."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from contract_changes import (
    CONTRACT,
    PATH,
    ROOT,
    Document,
    added_parameter,
    another_type,
    field,
    moved,
    notes,
    operation,
    parameter,
    put,
    recursive,
    renamed_component,
)

from release.contract import changes, report

POST = f"POST {PATH}"
BODY = "the request's CheckPaymentTokenRequest"
REFERENCE = "the request's PaymentTokenReference"
TOKEN = "the response's PaymentToken"
SIGNED = "the header Credential, the header Nonce, the header Signature"
CARD = "the response's CreditCard"
ERROR = "the response's ErrorResponse"

BREAKS, FINE = True, False

# The same change of a request and of a response stands side by side: what is fine in one breaks the other.
TABLE: list[tuple[Callable[[Document], None], list[tuple[str, bool]]]] = [
    (notes, []),
    (renamed_component, []),
    # A field.
    (field("PaymentTokenReference", "token", None), [(f"{REFERENCE}.token was removed", BREAKS)]),
    (field("PaymentTokenReference", "token", "id"), [(f"{REFERENCE}.token was renamed to id", BREAKS)]),
    (field("CreditCard", "brand", None), [(f"{CARD}.brand was removed", BREAKS)]),
    (field("CreditCard", None, "country", {"type": "string"}), [(f"{CARD}.country was added", FINE)]),
    (field("PaymentTokenReference", None, "shop", {"type": "string"}), [(f"{REFERENCE}.shop was added", FINE)]),
    (field("PaymentToken", "error_code", "failure"), [(f"{TOKEN}.error_code was renamed to failure", BREAKS)]),
    (field("CreditCard", "number", "pan"), [(f"{CARD}.number was renamed to pan", BREAKS)]),
    (
        put("PaymentTokenReference", required=["token", "shop"]),
        [(f"{REFERENCE}.shop was added and is required", BREAKS)],
    ),
    (put("PaymentTokenReference", required=[]), [(f"{REFERENCE}.token is now optional", FINE)]),
    (put("CheckPaymentTokenRequest", required=[]), [(f"{BODY}.payment_token is now optional", FINE)]),
    (put("CreditCard", required=["number"]), [(f"{CARD}.number is now always present", FINE)]),
    (
        put("PaymentToken", required=["token_type", "token"]),
        [(f"{TOKEN}.state may now be absent", BREAKS)],
    ),
    (
        put("CreditCard", additionalProperties=False),
        [(f"an additional property of {CARD} is no longer anything", FINE)],
    ),
    (
        put("PaymentTokenReference", additionalProperties=False),
        [(f"an additional property of {REFERENCE} no longer accepts anything", BREAKS)],
    ),
    (recursive, [(f"{CARD}.next was added", FINE)]),
    # A type.
    (
        put("PaymentTokenReference", "properties", "token", type=["string", "integer"]),
        [(f"{REFERENCE}.token now accepts integer", FINE)],
    ),
    (put("CreditCard", "properties", "number", type="string"), [(f"{CARD}.number is no longer null", FINE)]),
    (put("PaymentToken", "properties", "token", type=["string", "null"]), [(f"{TOKEN}.token may now be null", BREAKS)]),
    (
        put("PaymentTokenReference", "properties", "token", type="integer"),
        [(f"{REFERENCE}.token no longer accepts string", BREAKS), (f"{REFERENCE}.token now accepts integer", FINE)],
    ),
    (
        put("CheckPaymentTokenResponse", "properties", "code", type="integer"),
        [
            ("the response's CheckPaymentTokenResponse.code is no longer number", FINE),
            ("the response's CheckPaymentTokenResponse.code is no longer string", FINE),
            ("the response's CheckPaymentTokenResponse.code is no longer null", FINE),
            ("the response's CheckPaymentTokenResponse.code may now be integer", FINE),
        ],
    ),
    (put("ErrorResponse", "properties", "code", type="string"), [(f"{ERROR}.code is no longer number", FINE)]),
    (
        put("ErrorResponse", "properties", "message", type=None),
        [(f"{ERROR}.message may now be anything", BREAKS), (f"{ERROR}.message is no longer string", FINE)],
    ),
    (
        put("PaymentToken", "properties", "credit_card", anyOf=[{"$ref": "#/components/schemas/CreditCard"}]),
        [(f"{TOKEN}.credit_card is no longer null", FINE)],
    ),
    # Enums.
    (put("Language", enum=["en", "zh-HK"]), [('the request\'s Language no longer accepts "zh-CN"', BREAKS)]),
    (put("Language", enum=["en", "zh-HK", "zh-CN", "fr"]), [('the request\'s Language now accepts "fr"', FINE)]),
    (put("Language", enum=None), [("the request's Language now accepts any value", FINE)]),
    (
        put("Language", enum=None, const="en"),
        [
            ('the request\'s Language no longer accepts "zh-HK"', BREAKS),
            ('the request\'s Language no longer accepts "zh-CN"', BREAKS),
        ],
    ),
    # An open enum: any other string was allowed before.
    (
        put("TokenState", enum=["pending", "success", "failed", "expired"]),
        [('the response\'s TokenState may now be "expired"', FINE)],
    ),
    (put("TokenState", enum=["success", "failed"]), [('the response\'s TokenState is no longer "pending"', FINE)]),
    (
        put("PaymentToken", "properties", "state", anyOf=[{"$ref": "#/components/schemas/TokenState"}]),
        [(f"{TOKEN}.state is no longer string", FINE)],
    ),
    (
        put("PaymentToken", "properties", "token", enum=["a", "b"]),
        [(f'{TOKEN}.token is now only "a", "b"', FINE)],
    ),
    # Bounds, formats and patterns.
    (
        put("PaymentTokenReference", "properties", "token", format=None),
        [(f"{REFERENCE}.token no longer has format (was uuid)", FINE)],
    ),
    (put("PaymentToken", "properties", "token", format="uuid"), [(f"{TOKEN}.token now has format uuid", FINE)]),
    (
        put("PaymentTokenReference", "properties", "token", format="date"),
        [(f"{REFERENCE}.token now has format date (was uuid)", BREAKS)],
    ),
    (
        put("PaymentTokenReference", "properties", "token", maxLength=36),
        [(f"{REFERENCE}.token now has maxLength 36", BREAKS)],
    ),
    (put("PaymentToken", "properties", "token", minLength=1), [(f"{TOKEN}.token now has minLength 1", FINE)]),
    # The rest of an operation.
    (moved(PATH.replace("customer_uuid", "id")), []),
    (moved("/v2/check"), [(f"{POST} is now POST /v2/check", BREAKS)]),
    (lambda document: document["paths"].clear(), [(f"{POST} was removed", BREAKS)]),
    (lambda document: document["paths"].update({"/new": {"get": {}}}), [("GET /new was added", FINE)]),
    (
        lambda document: operation(document).update(operationId="check"),
        [(f"{POST} now has the operationId check (was check_payment_token)", BREAKS)],
    ),
    (lambda document: operation(document).update(deprecated=True), [(f"{POST} is now deprecated", FINE)]),
    (
        lambda document: operation(document).update(callbacks={"a": {}}),
        [(f"{POST} changed its callbacks: check what that means", BREAKS)],
    ),
    (parameter(0, name="uuid"), [(f"{POST}: path customer_uuid was renamed to path uuid", BREAKS)]),
    (parameter(1, name="X-Trace"), [(f"{POST}: header x-request-id was renamed to header x-trace", BREAKS)]),
    (parameter(2, required=True), [(f"{POST}: header x-i18n-lang is now required", BREAKS)]),
    (added_parameter(required=True), [(f"{POST}: header x-shop was added and is required", BREAKS)]),
    (added_parameter(required=False), [(f"{POST}: header x-shop was added", FINE)]),
    (lambda document: operation(document)["parameters"].pop(), [(f"{POST}: header x-i18n-lang was removed", BREAKS)]),
    (
        parameter(0, schema=operation(CONTRACT)["parameters"][0]["schema"] | {"default": "me"}),
        [(f'{POST}: path customer_uuid now has the default "me" (was "uuid")', BREAKS)],
    ),
    (lambda document: operation(document).pop("requestBody"), [(f"{POST}: the body was removed", BREAKS)]),
    (
        lambda document: operation(document)["requestBody"].update(required=False),
        [(f"{POST}: the body is now optional", FINE)],
    ),
    (
        another_type,
        [
            (f"{POST}: the body as application/json was removed", BREAKS),
            (f"{POST}: the body as text/plain was added", FINE),
        ],
    ),
    (lambda document: operation(document)["responses"].pop("200"), [(f"{POST}: the response 200 was removed", BREAKS)]),
    (lambda document: operation(document)["responses"].pop("422"), [(f"{POST}: the response 422 was removed", FINE)]),
    (
        lambda document: operation(document)["responses"].update({"202": {}}),
        [(f"{POST}: the response 202 was added", BREAKS)],
    ),
    (
        lambda document: operation(document)["responses"].update({"409": {}}),
        [(f"{POST}: the response 409 was added", FINE)],
    ),
    (
        lambda document: operation(document)["responses"]["429"].pop("headers"),
        [(f"{POST}: the response 429: header Retry-After was removed", BREAKS)],
    ),
    # Servers and security.
    (lambda document: document["servers"].pop(), [("the server https://gateway.wonder.today was removed", BREAKS)]),
    (
        lambda document: document["servers"].append({"url": "https://eu.wonder.today"}),
        [("the server https://eu.wonder.today was added", FINE)],
    ),
    (
        lambda document: document["security"][0].pop("nonce"),
        [(f"{POST} can now be called with the header Credential, the header Signature", FINE)],
    ),
    (
        lambda document: document["components"]["securitySchemes"]["nonce"].update(name="X-Nonce"),
        [
            (
                f"{POST} can no longer be called with {SIGNED}",
                BREAKS,
            ),
            (f"{POST} can now be called with the header Credential, the header Signature, the header X-Nonce", FINE),
        ],
    ),
]


@pytest.mark.parametrize(("mutate", "expected"), TABLE, ids=[row[1][0][0] if row[1] else "nothing" for row in TABLE])
def test_a_change_is_described_with_whether_it_breaks_callers(
    mutate: Callable[[Document], None], expected: list[tuple[str, bool]]
) -> None:
    new = copy.deepcopy(CONTRACT)
    mutate(new)
    assert changes(CONTRACT, new) == expected


def test_the_report_lists_breaking_changes_first() -> None:
    new = copy.deepcopy(CONTRACT)
    field("CreditCard", None, "country", {})(new)
    field("CreditCard", "brand", None)(new)
    assert report(changes(CONTRACT, new)) == f"breaks  {CARD}.brand was removed\nfine    {CARD}.country was added"
    assert report(changes(CONTRACT, CONTRACT)) == "Nothing changed for callers."


def test_a_new_field_breaks_a_response_whose_object_was_closed() -> None:
    old = copy.deepcopy(CONTRACT)
    put("CreditCard", additionalProperties=False)(old)
    new = copy.deepcopy(old)
    field("CreditCard", None, "country", {})(new)
    assert changes(old, new) == [(f"{CARD}.country was added", BREAKS)]


@pytest.mark.parametrize(
    ("name", "where", "loose_breaks"), [("PaymentTokenReference", REFERENCE, FINE), ("PaymentToken", TOKEN, BREAKS)]
)
@pytest.mark.parametrize(("bound", "less", "more"), [("maxLength", 36, 40), ("minLength", 40, 36)])
def test_a_changed_bound_breaks_requests_if_narrower_and_responses_if_wider(
    *, name: str, where: str, loose_breaks: bool, bound: str, less: int, more: int
) -> None:
    tight, loose = copy.deepcopy(CONTRACT), copy.deepcopy(CONTRACT)
    put(name, "properties", "token", **{bound: less})(tight)
    put(name, "properties", "token", **{bound: more})(loose)
    assert changes(tight, loose) == [(f"{where}.token now has {bound} {more} (was {less})", loose_breaks)]
    assert changes(loose, tight) == [(f"{where}.token now has {bound} {less} (was {more})", not loose_breaks)]


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
    assert 'breaks  the request\'s Language no longer accepts "zh-CN"\n' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"), [((), "Name the git revision"), (("nope",), "There is no openapi.yaml at 'nope'")]
)
def test_the_command_fails_with_one_line(commit: Callable[..., Path], arguments: tuple[str, ...], message: str) -> None:
    done = contract_diff(commit({}), *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert message in done.stderr
