"""The simulator's control API follows its own description: schemathesis generates requests from it."""

import json
from pathlib import Path

import schemathesis
import wonder_payment.simulator
import yaml
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from wonder_payment.simulator import TEST_TOKENS, SimulatedGateway

TOKENS = [test.token for test in TEST_TOKENS]

DESCRIPTION = yaml.safe_load(
    (Path(wonder_payment.simulator.__file__).parent / "control.yaml").read_text(encoding="utf-8")
)

API = schemathesis.openapi.from_dict(
    # YAML's aliases would be the same objects at two places.
    json.loads(json.dumps(DESCRIPTION)),
    config=SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "request-timeout": 10,
            "checks": {"enabled": True, "max_response_time": 5},
            "generation": {"mode": "all", "max-examples": 100, "database": "none"},
            # Random tokens are unknown.
            "dictionaries": {"tokens": {"values": TOKENS}},
            "parameters": {
                "path.token": {"dictionary": "tokens", "probability": 0.5},
                "body.token": {"dictionary": "tokens", "probability": 0.5},
            },
        }
    ),
)


@API.parametrize()
def test_requests_get_the_responses_that_are_described(case: Case, gateway: SimulatedGateway) -> None:
    case.call_and_validate(base_url=f"{gateway.base_url}/_simulator")
