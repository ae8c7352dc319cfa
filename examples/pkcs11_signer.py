"""A signer with a key in a PKCS#11 module: an HSM, a smart card, or SoftHSM (`pip install python-pkcs11`)."""

import os
import threading
from typing import Any

import pkcs11
from pkcs11.types import SignMixin
from wonder_payment import WonderClient

# python-pkcs11 promises the module that no two threads call it at a time. If they do, each with a session of its own,
# SoftHSM crashes the process.
lock = threading.Lock()


class PKCS11Signer:
    """Signs with one key and one session, in one thread at a time."""

    def __init__(self, key: SignMixin) -> None:
        """Take the private key of an open session."""
        self._key = key

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        with lock:
            return self._key.sign(message, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)


def open_key(module: str, token: str, pin: str, label: str) -> Any:
    """Log in to a token, and return the private key with this label. Call it in each process, after a fork."""
    session = pkcs11.lib(module).get_token(token_label=token).open(user_pin=pin)
    return session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)


def main() -> None:
    """Check a token."""
    module, token, pin, label = (os.environ[f"PKCS11_{name}"] for name in ("MODULE", "TOKEN", "PIN", "KEY"))
    with WonderClient.from_env(private_key=PKCS11Signer(open_key(module, token, pin, label))) as wonder:
        print(wonder.check_token("00000000-0000-4000-8000-000000000001").state)


if __name__ == "__main__":
    main()
