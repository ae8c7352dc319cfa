"""PaymentToken as JSON: to_dict(), pydantic and FastAPI."""

import asyncio
import json
import subprocess
import sys
from typing import Any

import attrs
import fastapi
import httpx
import pydantic
import pytest
from wonder_payment import Card, PaymentToken, TokenState, TokenType

TOKEN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"

CARD_4111 = Card(number="4111111111111111", holder_name="SAM SAMPLE", brand="VISA")
SHOWN: dict[str, Any] = {
    "token": "…4bed",
    "token_type": "CreditCard",
    "state": "failed",
    "is_default": None,
    "error_code": "E1",
    "error_message": "No: …1111",
    "card": dict.fromkeys(("exp_month", "exp_year", "holder_name", "billing_currency"))
    | {"number": "…1111", "brand": "VISA"},
    "request_id": TOKEN,
    "extra": {},
}


def a_token(**fields: Any) -> PaymentToken:
    own: dict[str, Any] = {"token": TOKEN, "token_type": TokenType.CREDIT_CARD, "state": TokenState.FAILED}
    own |= {"error_code": "E1", "error_message": "No: 4111111111111111", "card": CARD_4111, "request_id": TOKEN}
    return PaymentToken(**own | {"extra": {"verify_url": "https://a", "more": [1, None]}} | fields)


def test_to_dict_is_json_and_shows_no_secret() -> None:
    assert json.loads(json.dumps(a_token().to_dict())) == SHOWN
    assert a_token(card=None).to_dict() == SHOWN | {"card": None}
    assert a_token(card=Card()).to_dict()["card"] == dict.fromkeys(attrs.asdict(Card()))


def test_to_dict_with_secrets_is_json_and_has_everything() -> None:
    token = a_token()
    assert json.loads(json.dumps(token.to_dict(secrets=True))) == attrs.asdict(token)
    assert type(token.to_dict(secrets=True)["state"]) is str


def test_a_payment_token_is_a_field_of_pydantic_models() -> None:
    class Order(pydantic.BaseModel):
        token: PaymentToken
        old: PaymentToken | None = None

    order = Order(token=a_token())
    assert json.loads(order.model_dump_json()) == order.model_dump() == {"token": SHOWN, "old": None}
    assert Order.model_json_schema(mode="serialization")["properties"]["token"]["type"] == "object"
    with pytest.raises(pydantic.ValidationError):
        Order(token=SHOWN)  # type: ignore[arg-type]


def test_a_payment_token_is_a_response_model_of_fastapi() -> None:
    app = fastapi.FastAPI()

    @app.get("/token")
    def token() -> PaymentToken:
        return a_token()

    async def main() -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as service:
            return (await service.get("/token")).json(), (await service.get("/openapi.json")).status_code

    assert asyncio.run(main()) == (SHOWN, 200)


def test_the_import_does_not_load_pydantic() -> None:
    code = "import sys, wonder_payment; assert 'pydantic_core' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
