"""The simulator follows openapi.yaml: schemathesis generates requests from the contract, and finds no violation."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from schemathesis import BaseSchema, Case
from schemathesis.config import SchemathesisConfig
from wonder_payment.signing import SCHEME, sign, string_to_sign
from wonder_payment.simulator import TEST_CUSTOMER_UUID, TEST_TOKENS, TEST_VERIFY_UUID, SimulatedGateway

CONTRACT = yaml.safe_load((Path(__file__).parents[2] / "openapi.yaml").read_text(encoding="utf-8"))
((PATH, OPERATIONS),) = CONTRACT["paths"].items()

# The others have faults: responses of proxies in front of the gateway, which no contract covers.
TOKENS = [test.token for test in TEST_TOKENS if not test.settings.get("faults")]

# The examples become tokens that the simulator has: it responds to any other with 404, which would hide the rest of
# its checks.
for example in OPERATIONS["post"]["requestBody"]["content"]["application/json"]["examples"].values():
    example["value"]["payment_token"]["token"] = TOKENS[0]
CONTRACT["components"]["schemas"]["PaymentTokenReference"]["properties"]["token"]["examples"] = TOKENS


def contract(*, without_check: str, invents_signatures: bool) -> BaseSchema:
    """Return the contract, to test in all phases, with valid and invalid data and all checks but one."""
    return schemathesis.openapi.from_dict(
        CONTRACT,
        config=SchemathesisConfig.from_dict(
            {
                "seed": 1,
                "request-timeout": 10,
                "checks": {"enabled": True, "max_response_time": 5, without_check: {"enabled": False}},
                "generation": {
                    "mode": "all",
                    "max-examples": 200,
                    "database": "none",
                    "with-security-parameters": invents_signatures,
                },
                # Random tokens are unknown: every second valid body gets a token that the simulator has.
                "dictionaries": {"tokens": {"values": TOKENS}},
                "parameters": {"body.payment_token.token": {"dictionary": "tokens", "probability": 0.5}},
            }
        ),
    )


# ignored_auth expects 401 or 403 for a Credential that is missing or cannot be read, but the vendor documents 400. The
# tests of bad signatures below cover the rest of this check.
SIGNED = contract(without_check="ignored_auth", invents_signatures=False)

# positive_data_acceptance expects valid data to be accepted, but here the signature never is.
UNSIGNED = contract(without_check="positive_data_acceptance", invents_signatures=True)


class Signature(requests.auth.AuthBase):
    """Signs the exact bytes that requests sends.

    Args:
        gateway: The simulator to sign for.
        private_key: A key to sign with instead of the simulator's.
        changes: Headers to change after signing; None leaves one out.
    """

    def __init__(
        self,
        gateway: SimulatedGateway,
        *,
        private_key: RSAPrivateKey | None = None,
        changes: Mapping[str, str | None] | None = None,
    ) -> None:
        self._app_id = gateway.app_id
        self._private_key = private_key or gateway.private_key
        self._changes = changes or {}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert isinstance(request.body, bytes | None)
        credential = f"{self._app_id}/{time.strftime('%Y%m%d%H%M%S', time.gmtime())}/{SCHEME}"
        nonce = secrets.token_hex(8)
        digest = string_to_sign(credential, nonce, str(request.method), request.path_url, request.body)
        headers = {"Credential": credential, "Nonce": nonce, "Signature": sign(self._private_key, digest)}
        request.headers.update({name: value for name, value in (headers | self._changes).items() if value is not None})
        return request


# The first two serve one run of schemathesis each, and check its requests at the end: a test of its own would depend on
# the order of the tests.
@pytest.fixture(scope="module")
def signed_gateway() -> Iterator[SimulatedGateway]:
    """Requests are accepted or rejected, but never for their signature."""
    with SimulatedGateway() as gateway:
        yield gateway
    assert [request.verdict.hint for request in gateway.requests if request.verdict.rejection] == []
    statuses = Counter(request.status for request in gateway.requests)
    assert statuses.keys() == {200, 400, 404}
    assert min(statuses[200], statuses[400]) >= 50


@pytest.fixture(scope="module")
def unsigned_gateway() -> Iterator[SimulatedGateway]:
    """All requests are rejected."""
    with SimulatedGateway() as gateway:
        yield gateway
    statuses = Counter(request.status for request in gateway.requests)
    assert statuses.keys() == {400}
    assert statuses[400] >= 200


@SIGNED.parametrize()
def test_signed_requests_get_responses_of_the_contract(case: Case, signed_gateway: SimulatedGateway) -> None:
    case.call_and_validate(base_url=signed_gateway.base_url, auth=Signature(signed_gateway))


@UNSIGNED.parametrize()
def test_unsigned_requests_get_responses_of_the_contract(case: Case, unsigned_gateway: SimulatedGateway) -> None:
    case.call_and_validate(base_url=unsigned_gateway.base_url)


def status_and_code(gateway: SimulatedGateway, auth: Signature | None) -> tuple[int, str | int]:
    """Return the status and the code of the response to a good request with this signature, validated."""
    case = SIGNED[PATH]["post"].Case(
        path_parameters={"customer_uuid": "uuid"}, body={"payment_token": {"token": TOKENS[0]}}
    )
    response = case.call_and_validate(base_url=gateway.base_url, auth=auth)
    content: dict[str, Any] = response.json()
    assert isinstance(content["message"], str)
    return response.status_code, content["code"]


def test_a_good_request_is_accepted(gateway: SimulatedGateway) -> None:
    assert status_and_code(gateway, Signature(gateway)) == (200, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"code": 200},
        {"code": "0"},
        {"envelope": "error_code"},
        {"requires_customer_uuid": True, "requires_verify_uuid": True},
    ],
    ids=str,
)
def test_every_variant_gives_responses_of_the_contract(settings: dict[str, Any]) -> None:
    with SimulatedGateway(**settings) as gateway:
        for verify_uuid, status in ((TEST_VERIFY_UUID, 200), ("no UUID", 400)):
            case = SIGNED[PATH]["post"].Case(
                path_parameters={"customer_uuid": TEST_CUSTOMER_UUID},
                body={"payment_token": {"token": TOKENS[0], "verify_uuid": verify_uuid}},
            )
            response = case.call_and_validate(base_url=gateway.base_url, auth=Signature(gateway))
            assert response.status_code == status


def test_a_request_without_signature_headers_is_rejected(gateway: SimulatedGateway) -> None:
    assert status_and_code(gateway, None) == (400, "E000002")


@pytest.mark.parametrize(
    ("changes", "rejection"),
    [
        ({"Credential": None}, (400, "E000002")),
        ({"Credential": "app/now/Wonder-RSA-SHA256"}, (400, "E000002")),
        ({"Credential": "app/20261122120000/Wonder-RSA-SHA256"}, (401, "SIM_APP_ID")),
        ({"Nonce": None}, (400, "SIM_NONCE_FORMAT")),
        ({"Nonce": "short"}, (400, "SIM_NONCE_FORMAT")),
        ({"Nonce": "abcdefghijklmnop"}, (401, "SIM_SIGNATURE")),
        ({"Signature": None}, (401, "SIM_SIGNATURE")),
        ({"Signature": "no base64"}, (401, "SIM_SIGNATURE")),
    ],
)
def test_a_missing_or_changed_signature_header_is_rejected(
    gateway: SimulatedGateway, changes: dict[str, str | None], rejection: tuple[int, str]
) -> None:
    assert status_and_code(gateway, Signature(gateway, changes=changes)) == rejection


def test_the_signature_of_another_key_is_rejected(gateway: SimulatedGateway) -> None:
    other = generate_private_key(public_exponent=65537, key_size=2048)
    assert status_and_code(gateway, Signature(gateway, private_key=other)) == (401, "SIM_SIGNATURE")
