"""Requests that the vendor's SDK signed, and the key of those signatures."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers, RSAPublicNumbers

VECTORS = json.loads((Path(__file__).parent / "vectors" / "signing.json").read_text(encoding="utf-8"))

each_vector = pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])


@cache
def vector_key() -> RSAPrivateKey:
    numbers = {name: int(value, 16) for name, value in VECTORS["private_key"].items()}
    public = RSAPublicNumbers(numbers.pop("e"), numbers.pop("n"))
    return RSAPrivateNumbers(**numbers, public_numbers=public).private_key()


def body_of(vector: dict[str, Any]) -> bytes | None:
    return None if vector["body"] is None else vector["body"].encode()


def arguments_of(vector: dict[str, Any]) -> dict[str, Any]:
    return {name: vector[name] for name in ("credential", "nonce", "method", "uri")} | {"body": body_of(vector)}
