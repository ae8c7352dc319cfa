"""Types: a type checker reads them (tests/typing has all), and so do frameworks at run time."""

import ast
import asyncio
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import httpx
import pytest
import wonder_payment
import wonder_payment.signing
import wonder_payment.simulator
import wonder_payment_pytest
from fastapi import Depends, FastAPI
from pydantic import ValidationError, validate_call
from wonder_payment import PaymentToken
from wonder_payment.simulator import SimulatedGateway

ROOT = Path(__file__).parent.parent
MODULES = [wonder_payment, wonder_payment.signing, wonder_payment.simulator, wonder_payment_pytest]
PUBLIC = {f"{module.__name__}.{name}": getattr(module, name) for module in MODULES for name in module.__all__}
# What a user calls without writing its name.
SPECIAL = {"__init__", "__enter__", "__exit__", "__aenter__", "__aexit__"}


def callables() -> Iterator[tuple[str, Any]]:
    """Yield every public function, class, method and property."""
    for name, thing in PUBLIC.items():
        if inspect.isclass(thing):
            yield name, thing
            for attribute, member in inspect.getmembers_static(thing):
                function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                is_public = not attribute.startswith("_") or attribute in SPECIAL
                if is_public and inspect.isfunction(function) and function.__module__.startswith("wonder_payment"):
                    yield f"{name}.{attribute}", function
        elif inspect.isfunction(thing):
            yield name, thing


CALLABLES = dict(callables())


@pytest.mark.parametrize("name", CALLABLES)
def test_the_type_hints_of_everything_public_are_real_at_run_time(name: str) -> None:
    hints = typing.get_type_hints(CALLABLES[name])
    if inspect.isfunction(CALLABLES[name]):
        parameters = inspect.signature(CALLABLES[name], eval_str=True).parameters
        assert set(parameters) - {"self", "cls"} <= hints.keys()
        assert "return" in hints


def test_a_method_of_a_client_is_a_dependency_of_fastapi(gateway: SimulatedGateway) -> None:
    app = FastAPI()
    wonder, slow = gateway.client(), gateway.async_client()

    @app.get("/sync")
    def check(result: Annotated[PaymentToken, Depends(wonder.check_token)]) -> str:
        return str(result.state)

    @app.get("/async")
    async def check_async(result: Annotated[PaymentToken, Depends(slow.check_token)]) -> str:
        return str(result.state)

    async def states() -> list[str]:
        transport = httpx.ASGITransport(app)
        async with slow, httpx.AsyncClient(transport=transport, base_url="http://service") as service:
            return [(await service.get(way, params={"token": token})).json() for way in ("sync", "async")]

    token = gateway.add_token(states=["pending"])
    with wonder:
        assert asyncio.run(states()) == ["pending", "pending"]


def test_pydantic_validates_the_arguments_of_a_method(gateway: SimulatedGateway) -> None:
    with gateway.client() as wonder:
        check = validate_call(wonder.check_token)
        assert check(gateway.add_token(states=["success"])).is_verified
        with pytest.raises(ValidationError):
            check(5)  # type: ignore[arg-type]
        wait = validate_call(wonder.wait_for_token, config={"arbitrary_types_allowed": True})
        assert wait(gateway.add_token(states=["failed"]), timeout="5").is_failed  # type: ignore[arg-type]


# What type checkers are told

NODES = [node for file in (ROOT / "tests" / "typing").glob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
ATTRIBUTES = {node.attr for node in NODES if isinstance(node, ast.Attribute)}
NAMES = {node.id for node in NODES if isinstance(node, ast.Name)} | ATTRIBUTES
ASSERTED = {
    tuple(map(ast.unparse, node.args))
    for node in NODES
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "assert_type"
}

CLASSES = [
    wonder_payment.AsyncWonderClient,
    wonder_payment.Card,
    wonder_payment.CheckResult,
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
def test_every_public_attribute_is_type_checked(kind: type[Any]) -> None:
    public = {name for name, _ in inspect.getmembers_static(kind) if not name.startswith("_")}
    # from_model() is for the generated client's response only.
    assert public - {"from_model"} - ATTRIBUTES == set()


def test_every_row_of_the_page_on_types_is_type_checked() -> None:
    page = (ROOT / "docs" / "guides" / "types.md").read_text()
    rows = re.findall(r"^(\S.*?) +→ (.+)$", page, re.MULTILINE)
    assert len(rows) > 50
    assert [row for row in rows if (ast.unparse(ast.parse(row[0])), row[1]) not in ASSERTED] == []
