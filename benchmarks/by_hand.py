"""What the contenders of bench.py share: the tokens, and a signed request made by hand."""

import json
import os
import secrets
import time
import uuid
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from wonder_payment.signing import SCHEME, sign, string_to_sign

TOKENS = [f"00000000-0000-4000-8000-{number:012}" for number in range(1_000)]
URI = "/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check"


def load_key() -> RSAPrivateKey:
    """Load the PEM."""
    loaded: Any = load_pem_private_key(os.environ["WONDER_PRIVATE_KEY"].encode(), None)
    return loaded


def body_of(token: str) -> bytes:
    """Return the request's body."""
    return json.dumps({"payment_token": {"token": token}}).encode()


def signed_headers(private_key: RSAPrivateKey, body: bytes) -> dict[str, str]:
    """Return the headers of a signed request."""
    credential = f"{os.environ['WONDER_APP_ID']}/{time.strftime('%Y%m%d%H%M%S', time.gmtime())}/{SCHEME}"
    nonce = secrets.token_hex(8)
    return {
        "Content-Type": "application/json",
        "Credential": credential,
        "Nonce": nonce,
        "Signature": sign(private_key, string_to_sign(credential, nonce, "POST", URI, body)),
        "X-Request-ID": str(uuid.uuid4()),
    }


def url() -> str:
    """Return the URL of the check."""
    return os.environ["WONDER_BASE_URL"] + URI


def state_of(envelope: Any) -> str:
    """Return the state in the JSON of a response."""
    state: str = envelope["data"]["payment_token"]["state"]
    return state
