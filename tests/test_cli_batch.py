"""`wonder-payment batch`: the files it reads and writes."""

import csv
import json
import stat
from collections import Counter
from pathlib import Path

import commands
import pytest
from commands import (
    ALIPAY,
    CARD_NUMBER,
    FAILED,
    PENDING,
    VERIFIED,
    add_verified,
    checked,
    is_one_line,
    lines,
    summary,
    write,
)
from conftest import TOKEN as UNKNOWN
from typer.testing import Result
from wonder_payment.simulator import TEST_CUSTOMER_UUID, TEST_VERIFY_UUID, Fault, SimulatedGateway
from wonder_payment.simulator.tokens import SAMPLE_CARD


def run(gateway: SimulatedGateway | None, *arguments: object, **environ: str) -> Result:
    return commands.run(gateway, "batch", *arguments, **environ)


def test_each_token_of_a_file_becomes_a_line_of_json(gateway: SimulatedGateway, source: Path) -> None:
    no_card_fields = gateway.add_token(states=["success"], card={"number": None, "brand": None})
    gateway.decline(FAILED, error_code="E1", error_message="Declined.")
    source.write_text(f"\n  {VERIFIED}\t\r\n\n{FAILED}\n   \n{no_card_fields}\n{ALIPAY}")
    result = run(gateway, source)
    assert (result.exit_code, result.stderr) == (0, summary(3, 0, 1, 0) + "\n")
    card = dict.fromkeys(("number", "exp_month", "exp_year", "holder_name", "brand", "billing_currency"))
    verified = {
        "token": VERIFIED,
        "token_id": VERIFIED,
        "state": "success",
        "token_type": "CreditCard",
        "is_default": False,
        "error_code": None,
        "error_message": None,
        "card": card | SAMPLE_CARD,
        "extra": {},
    }
    failed = {"state": "failed", "error_code": "E1", "error_message": "Declined."}
    expected = [
        verified,
        verified | failed | {"token_id": FAILED, "token": FAILED},
        verified | {"token_id": no_card_fields, "token": no_card_fields, "card": card},
        verified | {"token_id": ALIPAY, "token": ALIPAY, "token_type": "AlipayAutoDebit", "card": None},
    ]
    request_ids = {request.token: request.request_id for request in gateway.requests}
    printed = {line["token_id"]: line for line in lines(result.stdout)}
    assert printed == {str(line["token_id"]): line | {"request_id": request_ids[line["token_id"]]} for line in expected}
    assert next(iter(printed[FAILED])) == "token_id"


def test_what_was_asked_for_is_written_whole_and_a_line_that_is_no_token_is_not(
    gateway: SimulatedGateway, source: Path
) -> None:
    card = {"number": CARD_NUMBER, "holder_name": "SAM SAMPLE"}
    write(source, [gateway.add_token(states=["success"], card=card), CARD_NUMBER])
    good, bad = sorted(lines(run(gateway, source).stdout), key=lambda line: "error" in line)
    assert (good["card"]["number"], good["card"]["holder_name"]) == (CARD_NUMBER, "SAM SAMPLE")
    assert CARD_NUMBER not in json.dumps(bad)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_column_of_a_csv_file_has_the_tokens(gateway: SimulatedGateway, source: Path, encoding: str) -> None:
    with source.open("w", encoding=encoding, newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["token", "née"])
        rows.writerows([[f" {VERIFIED} ", 'two\nlines, "quoted"'], ["", "blank"], [], [FAILED, UNKNOWN], [ALIPAY]])
    result = run(gateway, source, "--column", "token")
    assert result.exit_code == 0
    assert {line["token_id"] for line in lines(result.stdout)} == set(checked(gateway)) == {VERIFIED, FAILED, ALIPAY}


def test_a_duplicate_is_checked_once(gateway: SimulatedGateway, source: Path) -> None:
    (token,) = add_verified(gateway, 1)
    write(source, [token, UNKNOWN, token.upper(), UNKNOWN, token])
    assert len(lines(run(gateway, source).stdout)) == 2
    assert sorted(checked(gateway)) == sorted([token, UNKNOWN])


OTHER_CUSTOMER = "00000000-0000-4000-9000-000000000002"
COLUMNS = ["--column", "token", "--customer-column", "customer", "--verify-column", "verify"]


def test_each_token_is_checked_with_the_uuids_of_its_row(source: Path, output: Path) -> None:
    with SimulatedGateway(requires_customer_uuid=True, requires_verify_uuid=True) as gateway:
        other = gateway.add_token(states=["success"], customer_uuid=OTHER_CUSTOMER, verify_uuid=UNKNOWN)
        rows = [f"{VERIFIED},{TEST_CUSTOMER_UUID}, {TEST_VERIFY_UUID} ", f"{other},{OTHER_CUSTOMER},{UNKNOWN}"]
        source.write_text("\n".join(["token,customer,verify", *rows, f"{FAILED},,", f"{ALIPAY},x,{UNKNOWN}", PENDING]))
        assert run(gateway, source, *COLUMNS, "--output", output).exit_code == 1
        errors = {line["token_id"]: line.get("error", {}).get("type") for line in lines(output)}
        bad = {FAILED: "BadRequestError", PENDING: "BadRequestError", ALIPAY: "InvalidTokenError"}
        assert errors == {VERIFIED: None, other: None} | bad


def test_a_token_is_checked_once_whatever_its_customer(gateway: SimulatedGateway, source: Path, output: Path) -> None:
    source.write_text(f"token,customer\n{VERIFIED},{TEST_CUSTOMER_UUID}\n{VERIFIED},{OTHER_CUSTOMER}\n")
    run(gateway, source, *COLUMNS[:4], "--output", output)
    run(gateway, source, *COLUMNS[:2], "--customer-uuid", UNKNOWN, "--output", output)
    assert [(request.token, request.customer_uuid) for request in gateway.requests] == [(VERIFIED, TEST_CUSTOMER_UUID)]


def test_all_tokens_are_checked_with_the_uuids_of_the_command(source: Path) -> None:
    write(source, [VERIFIED, ALIPAY])
    with SimulatedGateway(requires_customer_uuid=True, requires_verify_uuid=True) as gateway:
        uuids = ["--customer-uuid", TEST_CUSTOMER_UUID, "--verify-uuid", TEST_VERIFY_UUID]
        assert run(gateway, source, *uuids).exit_code == 0


def test_a_failed_check_has_its_error_and_does_not_stop_the_batch(gateway: SimulatedGateway, source: Path) -> None:
    gateway.inject(Fault(status=403), token=FAILED)
    lines_in = [f"{VERIFIED}", UNKNOWN, CARD_NUMBER, FAILED, "caf\x00é", f"{ALIPAY}\n"]
    source.write_bytes("\n".join(lines_in).encode() + b"\xff\xfe" + VERIFIED.encode())
    result = run(gateway, source)
    assert (result.exit_code, is_one_line(result.stderr)) == (1, True)
    invalid = "Lines without a UUID: 3. Correct them in the source. The output has their line numbers."
    advice = "Use --output FILE to be able to retry only the errors."
    assert result.stderr == f"{summary(2, 0, 0, 5)} {invalid} {advice}\n"
    errors = {line["token_id"]: line["error"] for line in lines(result.stdout) if "error" in line}
    kinds = [(UNKNOWN, "NotFound"), (FAILED, "Authentication"), ("…1111", "InvalidToken"), ("café", "InvalidToken")]
    assert [(token, errors[token]["type"]) for token, _ in kinds] == [(token, f"{kind}Error") for token, kind in kinds]
    assert len(errors) == 5
    assert set(errors[UNKNOWN]) == {"type", "message", "request_id"}
    assert "HTTP 404" in errors[UNKNOWN]["message"]
    request_ids = {request.token: request.request_id for request in gateway.requests}
    assert (errors[UNKNOWN]["request_id"], errors["…1111"]["request_id"]) == (request_ids[UNKNOWN], None)


@pytest.mark.parametrize(
    ("arguments", "content", "problem"),
    [
        (["missing.txt"], "", "does not exist"),
        (["."], "", "is a directory"),
        ([], "", "Missing argument"),
        (["tokens.txt", "--column", "token"], f"id,card {CARD_NUMBER}\n", "Its columns are: id, card …1111."),
        (["tokens.txt", "--column", "token"], "", "has no column token. Its columns are: none."),
        (["tokens.txt", "--column", "token"], "token\n" + "x" * 200_000, "not a CSV file: field larger than field"),
        (["tokens.txt", "--concurrency", "0"], VERIFIED, "--concurrency"),
        (["tokens.txt", "--rate", "0"], VERIFIED, "--rate"),
        (["tokens.txt", "--rate", "inf"], VERIFIED, "--rate"),
        (["tokens.txt", "--customer-uuid", "x"], VERIFIED, "customer_uuid must be a UUID"),
        (["tokens.txt", "--verify-uuid", "x"], VERIFIED, "verify_uuid must be a UUID"),
        (["tokens.txt", "--customer-column", "c"], VERIFIED, "has no column c. Its columns are: …0001."),
        (["tokens.txt", "--column", "t", "--verify-column", "v", "--verify-uuid", UNKNOWN], VERIFIED, "not both"),
        (["tokens.txt", "--column", "t", "--customer-column", "c"], "t,v", "has no column c. Its columns are: t, v."),
        (["tokens.txt", "--output", "."], VERIFIED, "is a directory"),
        (["tokens.txt", "--output", "tokens.txt"], VERIFIED, "Choose another file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_reported_and_changes_nothing(
    gateway: SimulatedGateway,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    content: str,
    problem: str,
) -> None:
    monkeypatch.chdir(source.parent)
    source.write_text(content)
    result = run(gateway, *arguments)
    assert (result.exit_code, result.stdout, gateway.requests) == (2, "", [])
    assert problem in " ".join(result.stderr.split())
    assert source.read_text() == content


def test_missing_settings_are_one_line(source: Path) -> None:
    write(source, [VERIFIED])
    result = run(None, source, WONDER_APP_ID="app")
    assert (result.exit_code, is_one_line(result.stderr)) == (1, True)
    assert "WONDER_PRIVATE_KEY" in result.stderr


def test_an_empty_file_is_a_finished_batch(gateway: SimulatedGateway, source: Path) -> None:
    source.touch()
    result = run(gateway, source)
    assert (result.exit_code, result.output) == (0, summary(0, 0, 0, 0) + "\n")


def test_the_same_command_continues_an_output(gateway: SimulatedGateway, source: Path, output: Path) -> None:
    tokens = add_verified(gateway, 6)
    gateway.inject(Fault(status=404, times=1), token=tokens[1])
    write(source, tokens[:3])
    first = run(gateway, source, "--output", output)
    assert (first.exit_code, first.stdout) == (1, "")
    assert first.stderr == f"{summary(2, 0, 0, 1)} Run the same command again to retry the errors.\n"
    write(source, [*tokens[:3], tokens[0].upper(), *tokens[3:]])
    for _ in range(2):  # the second time there is nothing left to check
        result = run(gateway, source, "--output", output)
        assert (result.exit_code, result.output) == (0, summary(6, 0, 0, 0) + "\n")
        assert Counter(checked(gateway)) == Counter([*tokens, tokens[1]])
        assert sorted(line["token_id"] for line in lines(output)) == sorted(tokens)
    assert stat.S_IMODE(output.stat().st_mode) == 0o600  # no other user may read it


@pytest.mark.parametrize("length", [1, 5, 20, 200])
def test_a_line_cut_off_by_a_kill_is_dropped_and_its_token_checked_again(
    gateway: SimulatedGateway, source: Path, output: Path, length: int
) -> None:
    tokens = add_verified(gateway, 3)
    write(source, tokens)
    run(gateway, source, "--output", output, "--concurrency", 1)
    *whole, last = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(b"".join(whole) + last[:length])
    run(gateway, source, "--output", output)
    assert [line["token_id"] for line in lines(output)] == tokens
    assert checked(gateway) == [*tokens, tokens[-1]]


def test_a_token_whose_line_cannot_be_read_is_checked_again(
    gateway: SimulatedGateway, source: Path, output: Path
) -> None:
    output.write_text('{"token_id": "' + VERIFIED + '", sta\n{"token_id": "x"}\n{"token_id": "y"} z\n')
    write(source, [VERIFIED])
    assert run(gateway, source, "--output", output).exit_code == 0
    assert checked(gateway) == [VERIFIED]


@pytest.mark.parametrize("content", ["token,card\n", f"{VERIFIED}\n", "{}\n", "x", "\n", '{"token":'])
def test_a_file_that_is_not_the_output_of_a_batch_is_not_changed(
    gateway: SimulatedGateway, source: Path, output: Path, content: str
) -> None:
    write(source, [VERIFIED])
    output.write_text(content)
    result = run(gateway, source, "--output", output)
    assert (result.exit_code, output.read_text(), gateway.requests) == (2, content, [])
    assert "Choose another file." in result.stderr
