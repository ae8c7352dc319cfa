"""The description of the control API: its operations exist, and its examples work."""

import httpx
from commands import PENDING
from control.calling import API, Control
from wonder_payment.simulator import SimulatedGateway


def test_every_operation_of_the_description_exists(gateway: SimulatedGateway, control: Control) -> None:
    for path, operations in control.description["paths"].items():
        address = f"{gateway.base_url}{API}{path.replace('{token}', PENDING)}"
        allowed = httpx.options(address, trust_env=False).headers["Allow"]
        described = {method.upper() for method in operations if method != "parameters"}
        assert {method.strip() for method in allowed.split(",")} - {"HEAD"} == described


def test_the_examples_of_the_description_work(control: Control) -> None:
    for path, operations in control.description["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}) if method != "parameters" else {}
            for example in content.get("application/json", {}).get("examples", {}).values():
                control(method, path.replace("{token}", PENDING), example["value"])
