"""Changes of openapi.yaml, as functions that change the parsed document."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CONTRACT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
PATH = "/svc/payment/api/v1/openapi/customers/{customer_uuid}/payment_tokens/check"
Document = dict[str, Any]


def schema(document: Document, name: str) -> Any:
    return document["components"]["schemas"][name]


def operation(document: Document) -> Any:
    return next(iter(document["paths"].values()))["post"]


def put(name: str, *path: str, **value: Any) -> Callable[[Document], None]:
    """Set keywords of a component's schema, or of one within it; None removes one."""

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
    """Add, remove or rename a field of a component."""

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
