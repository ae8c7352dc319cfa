"""The simulated gateway keeps to openapi.yaml: schemathesis makes requests of the contract, and finds nothing."""

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
from hypothesis.strategies import uuids
from schemathesis import BaseSchema, Case
from schemathesis.config import SchemathesisConfig
from wonder_payment.signing import SCHEME, new_nonce, sign, string_to_sign
from wonder_payment.simulator import WELL_KNOWN, SimulatedGateway

CONTRACT = yaml.safe_load((Path(__file__).parents[2] / "openapi.yaml").read_text(encoding="utf-8"))
((PATH, OPERATIONS),) = CONTRACT["paths"].items()

# Those with faults answer what comes from in front of a gateway, which no contract covers.
TOKENS = [known.token for known in WELL_KNOWN if not known.settings.get("faults")]

# What a request may be is left as it stands. The examples become tokens that the gateway has: it answers any other
# with 404, and that would hide what else it makes of a request.
OPERATIONS["post"]["requestBody"]["content"]["application/json"]["example"]["payment_token"]["token"] = TOKENS[0]
CONTRACT["components"]["schemas"]["PaymentTokenReference"]["properties"]["token"]["examples"] = TOKENS

# In a header, schemathesis 4.32 takes a pattern that demands a hyphen for one that nothing matches, and then sends an
# invalid value as a valid one. A format that it knows keeps it from that; the pattern stays.
schemathesis.openapi.format("uuid4-in-a-header", uuids(version=4).map(str))
(REQUEST_ID,) = (found for found in OPERATIONS["post"]["parameters"] if found["name"] == "X-Request-ID")
REQUEST_ID["schema"]["format"] = "uuid4-in-a-header"


def contract(*, without_check: str, invents_signatures: bool) -> BaseSchema:
    """Return the contract, to be tried in all phases, with valid and invalid data, and with all checks but one."""
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
                # Nobody guesses a token: every second valid body has one that the gateway has.
                "dictionaries": {"tokens": {"values": TOKENS}},
                "parameters": {"body.payment_token.token": {"dictionary": "tokens", "probability": 0.5}},
            }
        ),
    )


# Without ignored_auth: it wants 401 or 403 where Credential is missing or can't be read. The vendor's documented answer
# to that is 400. What else it would find, the tests of bad signatures below do.
SIGNED = contract(without_check="ignored_auth", invents_signatures=False)

# Without positive_data_acceptance: it wants valid data to be accepted, and here the signature never is.
UNSIGNED = contract(without_check="positive_data_acceptance", invents_signatures=True)


class Signature(requests.auth.AuthBase):
    """Signs what requests is about to send: these very bytes.

    Args:
        gateway: The gateway to sign for.
        private_key: A key to sign with in place of the gateway's.
        changes: What becomes of headers after signing; None leaves one out.
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
        nonce = new_nonce()
        digest = string_to_sign(credential, nonce, str(request.method), request.path_url, request.body)
        headers = {"Credential": credential, "Nonce": nonce, "Signature": sign(self._private_key, digest)}
        request.headers.update({name: value for name, value in (headers | self._changes).items() if value is not None})
        return request


# The first two are for one run of schemathesis each, and check at its end what came in: a test of its own would depend
# on the order of the tests.
@pytest.fixture(scope="module")
def signed_gateway() -> Iterator[SimulatedGateway]:
    """Requests are accepted and rejected, but never for their signature."""
    with SimulatedGateway() as gateway:
        yield gateway
    assert [request.verdict.hint for request in gateway.requests if request.verdict.refusal] == []
    statuses = Counter(request.status for request in gateway.requests)
    assert statuses.keys() == {200, 400, 404}
    assert min(statuses[200], statuses[400]) >= 50


@pytest.fixture(scope="module")
def unsigned_gateway() -> Iterator[SimulatedGateway]:
    """Requests are many, and all are rejected."""
    with SimulatedGateway() as gateway:
        yield gateway
    statuses = Counter(request.status for request in gateway.requests)
    assert statuses.keys() == {400}
    assert statuses[400] >= 200


@pytest.fixture(scope="module")
def gateway() -> Iterator[SimulatedGateway]:
    with SimulatedGateway() as gateway:
        yield gateway


@SIGNED.parametrize()
def test_signed_requests_get_what_the_contract_says(case: Case, signed_gateway: SimulatedGateway) -> None:
    case.call_and_validate(base_url=signed_gateway.base_url, auth=Signature(signed_gateway))


@UNSIGNED.parametrize()
def test_unsigned_requests_get_what_the_contract_says(case: Case, unsigned_gateway: SimulatedGateway) -> None:
    case.call_and_validate(base_url=unsigned_gateway.base_url)


def answer(gateway: SimulatedGateway, auth: Signature | None) -> tuple[int, str | int]:
    """Return status and code of the answer to a request that is good but for its signature, if it is what it should."""
    case = SIGNED[PATH]["post"].Case(
        path_parameters={"customer_uuid": "uuid"}, body={"payment_token": {"token": TOKENS[0]}}
    )
    response = case.call_and_validate(base_url=gateway.base_url, auth=auth)
    content: dict[str, Any] = response.json()
    assert isinstance(content["message"], str)
    return response.status_code, content["code"]


def test_a_good_request_is_taken(gateway: SimulatedGateway) -> None:
    assert answer(gateway, Signature(gateway)) == (200, 0)


def test_a_request_without_any_header_of_the_signature_is_refused(gateway: SimulatedGateway) -> None:
    assert answer(gateway, None) == (400, "E000002")


@pytest.mark.parametrize(
    ("changes", "refusal"),
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
def test_a_missing_or_changed_header_of_the_signature_is_refused(
    gateway: SimulatedGateway, changes: dict[str, str | None], refusal: tuple[int, str]
) -> None:
    assert answer(gateway, Signature(gateway, changes=changes)) == refusal


def test_the_signature_of_another_key_is_refused(gateway: SimulatedGateway) -> None:
    other = generate_private_key(public_exponent=65537, key_size=2048)
    assert answer(gateway, Signature(gateway, private_key=other)) == (401, "SIM_SIGNATURE")
