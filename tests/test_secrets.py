"""No key, signature, token, card number or holder name in what a client shows or logs."""

import logging
import traceback
from typing import Any

import pytest
from conftest import Caller, Clock
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from pytest_httpx import HTTPXMock
from test_check import envelope
from wonder_payment import PaymentToken, RetryPolicy, WonderError
from wonder_payment.simulator import SimulatedGateway

TOKEN = "5f0e8d2c-9b5d-4b2d-8a66-ab8dfbbd4bed"
NUMBER = "4111111111111111"
CARD = {"number": NUMBER, "holder_name": "SAM SAMPLE", "brand": "visa"}
PASSPHRASE = "correct horse battery staple"

ANSWERS: list[dict[str, Any]] = [
    {"json": envelope(token=TOKEN, credit_card=CARD)},
    {"json": envelope(token=TOKEN, credit_card=CARD, error_msg=f"card {NUMBER} of {TOKEN}")},
    {"json": envelope(token=TOKEN, credit_card=CARD, state=[NUMBER])},
    {"json": envelope(token=TOKEN, credit_card=CARD | {"brand": int(NUMBER)})},
    {"json": envelope(token=TOKEN, credit_card=NUMBER)},
    {"json": {"code": 0, "message": TOKEN, "data": {"payment_token": {"token": TOKEN, "credit_card": CARD}}}},
    {"json": envelope(token="00000000-0000-4000-8000-000000000000", credit_card=CARD)},
    {"json": {"code": f"E {TOKEN}", "message": f"{NUMBER} 4111 1111 1111 1111 4111-1111-1111-1111"}},
    {"status_code": 404, "json": {"code": "E1", "message": f"no token {TOKEN.upper()}, card {NUMBER}"}},
    {"status_code": 502, "html": f"<p>{TOKEN} {NUMBER} SAM SAMPLE</p>"},
    {"status_code": 302, "headers": {"Location": f"https://elsewhere.example/{TOKEN}"}},
    {"content": f'{{"code": 0, "token": "{TOKEN}", "number": "{NUMBER}'.encode()},
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_nothing_secret_is_shown_or_logged(
    caller: Caller,
    httpx_mock: HTTPXMock,
    caplog: pytest.LogCaptureFixture,
    clock: Clock,
    gateway: SimulatedGateway,
    answer: dict[str, Any],
) -> None:
    pem = gateway.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())
    ).decode()
    httpx_mock.add_response(status_code=503)
    httpx_mock.add_response(**answer, is_reusable=True)
    shown: list[str] = []
    settings = {"private_key": pem, "passphrase": PASSPHRASE}
    client = caller.make(**settings)
    shown += [repr(client), str(client), str(vars(client))]
    with caplog.at_level(logging.DEBUG, "wonder_payment"):
        try:
            result: PaymentToken | WonderError = caller.check(TOKEN, retry=RetryPolicy(), **settings)
        except WonderError as error:
            result = error
            shown += traceback.format_exception(error)
    shown += [repr(result), str(result), caplog.text, *(str(record.__dict__) for record in caplog.records)]
    text = "\n".join(shown)
    secrets = {
        "token": TOKEN,
        "number": NUMBER,
        "spaced number": "4111 1111",
        "dashed number": "4111-1111",
        "holder": "SAM SAMPLE",
        "passphrase": PASSPHRASE,
        "key": pem.splitlines()[2],
        **{f"signature {i}": request.headers["Signature"] for i, request in enumerate(httpx_mock.get_requests())},
    }
    assert [name for name, secret in secrets.items() if secret.lower() in text.lower()] == []
    assert clock.slept
    assert not any(TOKEN in str(request.url) for request in httpx_mock.get_requests())


def test_an_invalid_token_is_not_quoted(caller: Caller) -> None:
    with pytest.raises(WonderError) as caught:
        caller.check(NUMBER)
    assert NUMBER not in "".join(traceback.format_exception(caught.value))
