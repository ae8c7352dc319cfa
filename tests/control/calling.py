"""Calls the simulator's control API, and checks each response against its OpenAPI description."""

import re
from functools import cache
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator
from wonder_payment.simulator import SimulatedGateway

API = "/_simulator"


@cache
def parsed(description: str) -> Any:
    return yaml.safe_load(description)


class Control:
    """Calls the control API, and checks each response against the description that the simulator serves."""

    def __init__(self, gateway: SimulatedGateway, connection: httpx.Client) -> None:
        self.address = gateway.base_url + API
        self._http = connection
        self.description = parsed(connection.get(f"{self.address}/openapi.yaml").text)

    def send(self, method: str, path: str, body: object = None, **options: Any) -> httpx.Response:
        if body is not None:
            options["json"] = body
        response = self._http.request(method, self.address + path, **options)
        operation = self._operation(method, path)
        content = operation["responses"][str(response.status_code)]
        if "$ref" in content:
            content = self.description["components"]["responses"][content["$ref"].rpartition("/")[2]]
        if "content" in content:
            self._validator(content["content"]["application/json"]["schema"]).validate(response.json())
        else:
            assert response.content == b""
        if body is not None and response.status_code != 415:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert self._validator(schema).is_valid(body) is (response.status_code != 400)
        return response

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        """Return the content of a good response; None if it has none."""
        response = self.send(method, path, body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def _operation(self, method: str, path: str) -> Any:
        described = re.sub("^/tokens/[^/]+", "/tokens/{token}", path)
        return self.description["paths"][described][method.lower()]

    def _validator(self, schema: Any) -> Draft202012Validator:
        return Draft202012Validator(schema | {"components": self.description["components"]})
