"""What a type checker tells the caller: tests/typing/api.py has it all, and the page on types says the same."""

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import wonder_payment
import wonder_payment.signing
import wonder_payment.simulator
import wonder_payment_pytest

ROOT = Path(__file__).parent.parent
NODES = list(ast.walk(ast.parse((ROOT / "tests" / "typing" / "api.py").read_text())))
ATTRIBUTES = {node.attr for node in NODES if isinstance(node, ast.Attribute)}
NAMES = {node.id for node in NODES if isinstance(node, ast.Name)} | ATTRIBUTES
ASSERTED = {
    tuple(map(ast.unparse, node.args))
    for node in NODES
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "assert_type"
}

MODULES = [wonder_payment, wonder_payment.signing, wonder_payment.simulator, wonder_payment_pytest]
CLASSES = [
    wonder_payment.AsyncWonderClient,
    wonder_payment.Card,
    wonder_payment.Outcome,
    wonder_payment.PaymentToken,
    wonder_payment.PollPolicy,
    wonder_payment.RetryPolicy,
    wonder_payment.TokenChecker,
    wonder_payment.WonderClient,
    wonder_payment.simulator.SimulatedGateway,
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_is_type_checked_as_a_user_writes_it(module: ModuleType) -> None:
    assert set(module.__all__) - NAMES == set()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_so_is_everything_that_a_caller_can_ask_of_an_object(kind: type[Any]) -> None:
    public = {name for name, _ in inspect.getmembers_static(kind) if not name.startswith("_")}
    # from_model() is for the generated client's answer alone.
    assert public - {"from_model"} - ATTRIBUTES == set()


def test_every_row_of_the_page_on_types_is_checked() -> None:
    page = (ROOT / "docs" / "how-to" / "types.md").read_text()
    rows = re.findall(r"^(\S.*?) +→ (.+)$", page, re.MULTILINE)
    assert len(rows) > 50
    assert [row for row in rows if (ast.unparse(ast.parse(row[0])), row[1]) not in ASSERTED] == []
