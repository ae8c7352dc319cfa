"""The sync contenders of bench.py: this package's client, and what people use instead, with the same signature."""

import importlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import requests
import urllib3
from wonder_payment import WonderClient, signing

from .by_hand import TOKENS, body_of, load_key, signed_headers, state_of, url
from .server import BODY

# Checks a token and returns its state.
Check = Callable[[str], str]

THREADS = 8


@contextmanager
def wonder(**settings: Any) -> Iterator[Check]:
    """Use this package."""
    with WonderClient.from_env(**settings) as client:
        yield lambda token: client.check_token(token).state


@contextmanager
def own_work() -> Iterator[Check]:
    """Use this package without a signature and without a network."""
    content = BODY % TOKENS[0].encode()
    mock = httpx.MockTransport(lambda _request: httpx.Response(200, content=content))
    signing.sign = lambda _key, _text: "0" * 344
    with wonder(transport=mock) as check:
        yield lambda _token: check(TOKENS[0])


@contextmanager
def httpx_by_hand() -> Iterator[Check]:
    """Keep one httpx.Client and one key."""
    private_key = load_key()
    with httpx.Client() as client:

        def check(token: str) -> str:
            body = body_of(token)
            response = client.post(url(), content=body, headers=signed_headers(private_key, body))
            return state_of(response.raise_for_status().json())

        yield check


@contextmanager
def urllib3_by_hand() -> Iterator[Check]:
    """Keep one pool of connections and one key."""
    private_key = load_key()
    with urllib3.PoolManager(maxsize=THREADS) as pool:

        def check(token: str) -> str:
            body = body_of(token)
            response = pool.request("POST", url(), body=body, headers=signed_headers(private_key, body))
            return state_of(response.json())

        yield check


@contextmanager
def requests_by_hand() -> Iterator[Check]:
    """Keep nothing, as in a first script."""

    def check(token: str) -> str:
        body = body_of(token)
        response = requests.post(url(), data=body, headers=signed_headers(load_key(), body), timeout=10)
        response.raise_for_status()
        return state_of(response.json())

    yield check


@contextmanager
def requests_well() -> Iterator[Check]:
    """Keep one requests.Session and one key."""
    private_key = load_key()
    with requests.Session() as session:

        def check(token: str) -> str:
            body = body_of(token)
            response = session.post(url(), data=body, headers=signed_headers(private_key, body), timeout=10)
            response.raise_for_status()
            return state_of(response.json())

        yield check


@contextmanager
def openapi_generator() -> Iterator[Check]:
    """Sign where the generated client sends a request."""
    generated: Any = importlib.import_module("wonder_openapi_generator")
    private_key = load_key()

    class SigningClient(generated.ApiClient):  # type: ignore[misc]
        def call_api(self, method: str, url: str, header_params: Any, body: Any, *others: Any, **options: Any) -> Any:
            header_params |= signed_headers(private_key, json.dumps(body).encode())
            return super().call_api(method, url, header_params, body, *others, **options)

    api = generated.PaymentTokensApi(SigningClient(generated.Configuration(host=os.environ["WONDER_BASE_URL"])))

    def check(token: str) -> str:
        reference = generated.PaymentTokenReference(token=token)
        response = api.check_payment_token("uuid", generated.CheckPaymentTokenRequest(payment_token=reference))
        return str(response.data.payment_token.state.actual_instance.value)

    yield check


@contextmanager
def signature() -> Iterator[Check]:
    """Sign, and send nothing."""
    private_key = load_key()

    def check(token: str) -> str:
        signed_headers(private_key, body_of(token))
        return "success"

    yield check


SYNC = {
    "WonderClient": wonder,
    "WonderClient, fast": lambda: wonder(transport="fast"),
    "WonderClient, own work": own_work,
    "httpx by hand": httpx_by_hand,
    "urllib3 by hand": urllib3_by_hand,
    "requests written well": requests_well,
    "requests by hand": requests_by_hand,
    "openapi-generator": openapi_generator,
    "signature alone": signature,
}
