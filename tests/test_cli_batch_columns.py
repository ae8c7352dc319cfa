"""`wonder-payment batch` with a CSV file and no `--column`: the column of tokens is recognised."""

from pathlib import Path

import pytest
from commands import ALIPAY, CARD_NUMBER, FAILED, VERIFIED, checked, lines, run
from conftest import TOKEN as UNKNOWN
from wonder_payment.simulator import TEST_CUSTOMER_UUID, SimulatedGateway


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "tokens.csv"


@pytest.mark.parametrize(
    "content",
    [
        f"id,token\n1,{VERIFIED}\n2,{FAILED}\n",
        f"id,payment_token\n{UNKNOWN},{VERIFIED}\n{UNKNOWN},{FAILED}\n",
        f"TOKEN_ID,customer\n{VERIFIED},{UNKNOWN}\n{FAILED},{UNKNOWN}\n",
        f"id,Payment Token \n1,{VERIFIED}\n2,{FAILED}\n",
        f"id,card\n1,{VERIFIED}\n2,{FAILED}\n",
        f"id,card\n1,\n2,n/a\n3,{VERIFIED}\n4,{FAILED}\n",
        f"token,token_id\n1,{VERIFIED}\n2,{FAILED}\n",
        f'id,"card, stored"\n1,{VERIFIED}\n2,{FAILED}\n',
        f'\n"token"\n{VERIFIED}\n{FAILED}\n',
        f"Token\r\n{VERIFIED}\r\n{FAILED}\r\n",
        f"\ufefftoken,id\n{VERIFIED},1\n{FAILED},2\n",
        f"id;token\n1;{VERIFIED}\n2;{FAILED}\n",
        f"id\ttoken\n1\t{VERIFIED}\n2\t{FAILED}\n",
        f'id;"card, stored, or not";amount, HKD\n1;{VERIFIED};"1,50"\n2;{FAILED};2,50\n',
        f'"a;b;c",card\n1,{VERIFIED}\n2,{FAILED}\n',
        f" \t{VERIFIED}\t\n{FAILED}\n",
        f"{VERIFIED}\n{FAILED}\n",
        f"{VERIFIED}\n{FAILED}, \n{FAILED}\n",
    ],
    ids=[
        "token",
        "payment_token beside another UUID",
        "upper case",
        "two words",
        "UUIDs",
        "UUIDs after other values",
        "the one of two names that has UUIDs",
        "quoted",
        "one column",
        "one column, Windows",
        "byte order mark",
        "semicolons",
        "tabs",
        "semicolons and commas",
        "semicolons in quotes",
        "a list with tabs",
        "a list",
        "a list with a comma",
    ],
)
def test_the_column_of_tokens_is_recognised(gateway: SimulatedGateway, source: Path, content: str) -> None:
    source.write_text(content)
    run(gateway, "batch", source)
    assert sorted(checked(gateway)) == [VERIFIED, FAILED]


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_named_columns_have_the_separator_of_the_first_line(
    gateway: SimulatedGateway, source: Path, separator: str
) -> None:
    rows = [["kind", "card", "owner"], ["new", VERIFIED, TEST_CUSTOMER_UUID], ["old", FAILED, TEST_CUSTOMER_UUID]]
    source.write_text("\n".join(separator.join(row) for row in rows))
    run(gateway, "batch", source, "--column", "card", "--customer-column", "owner")
    assert sorted(checked(gateway)) == [VERIFIED, FAILED]
    assert {request.customer_uuid for request in gateway.requests} == {TEST_CUSTOMER_UUID}


def test_many_rows_without_a_value_do_not_hide_a_known_name(gateway: SimulatedGateway, source: Path) -> None:
    source.write_text("token,id\n" + ",1\n" * 100 + f"{VERIFIED},2\n")
    run(gateway, "batch", source)
    assert checked(gateway) == [VERIFIED]


def test_each_row_that_was_read_to_recognise_the_column_is_checked_once(
    gateway: SimulatedGateway, source: Path
) -> None:
    tokens = [gateway.add_token(states=["success"]) for _ in range(50)]
    source.write_text("\n".join(["id,card", *(f"{number},{token}" for number, token in enumerate(tokens))]))
    result = run(gateway, "batch", source)
    assert (result.exit_code, sorted(line["token_id"] for line in lines(result.stdout))) == (0, sorted(tokens))
    assert len(gateway.requests) == 50


def test_the_column_of_the_customers_is_not_taken_for_the_tokens(source: Path) -> None:
    source.write_text(f"owner,card\n{TEST_CUSTOMER_UUID},{VERIFIED}\n{TEST_CUSTOMER_UUID},{ALIPAY}\n")
    with SimulatedGateway(requires_customer_uuid=True) as gateway:
        result = run(gateway, "batch", source, "--customer-column", "owner")
    assert (result.exit_code, sorted(checked(gateway))) == (0, [VERIFIED, ALIPAY])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (f"card,customer\n{VERIFIED},{UNKNOWN}\n", "Several columns may have the tokens: card, customer. Choose one"),
        (
            f"id,token,token_id\n1,{VERIFIED},{UNKNOWN}\n",
            "Several columns may have the tokens: token, token_id. Choose one with --column.",
        ),
        ("token,payment_token\n1,2\n", "Several columns may have the tokens: token, payment_token. Choose one"),
        (
            f"id,card {CARD_NUMBER}\n1,2\n",
            "No column of tokens was recognised. The columns are: id, card …1111. Choose one with --column.",
        ),
        ("id,name\n", "No column of tokens was recognised. The columns are: id, name."),
        (f"{VERIFIED},{FAILED}\n{ALIPAY},{UNKNOWN}\n", "Add a line with the names of the columns."),
        (f"{VERIFIED};1\n{FAILED};2\n", "Add a line with the names of the columns."),
        ("id,name\n" + "x" * 200_000, "not a CSV file: field larger than field limit"),
    ],
    ids=[
        "two columns",
        "two names",
        "two names, no UUIDs",
        "none",
        "no rows",
        "no names",
        "no names, semicolons",
        "no CSV",
    ],
)
def test_a_column_that_is_not_recognised_is_reported_and_nothing_is_sent(
    gateway: SimulatedGateway, source: Path, content: str, problem: str
) -> None:
    source.write_text(content)
    result = run(gateway, "batch", source)
    assert (result.exit_code, result.stdout, gateway.requests) == (2, "", [])
    assert problem in result.stderr
    assert VERIFIED not in result.stderr
