"""``wonder-payment doctor``: checks the settings, the key, the clock and the signature."""

import os
import time
from typing import Any
from uuid import uuid4

import httpx
import typer
from rich.console import Console
from rich.text import Text

from wonder_payment import (
    APIError,
    BadRequestError,
    ConfigurationError,
    NetworkError,
    NotFoundError,
    WonderClient,
    WonderError,
)
from wonder_payment._http.environment import certificates, environment_proxy
from wonder_payment._http.response import CLOCK_TOLERANCE, clock_difference
from wonder_payment._redact import redact
from wonder_payment.config import resolved_origin, settings_from
from wonder_payment.signing import load_private_key

from .output import ExitStatus, message

_MIN_KEY_BITS = 2048

# The gateway's code for a Credential header that it cannot read.
_INVALID_CREDENTIAL = "E000002"


def doctor() -> None:
    """Check settings, key, clock and signature. Each problem is reported with its fix."""
    console = Console(highlight=False, soft_wrap=True)
    examination = Examination()
    status = 0
    for step in (examination.settings, examination.key, examination.clock, examination.signature):
        try:
            console.print(Text("✔ ", style="green").append(step(), style="default"))
        except WonderError as error:
            status = ExitStatus.ERROR
            console.print(Text("✘ ", style="red").append(message(error), style="default"))
            if step in (examination.settings, examination.key):
                break  # the later steps need it
    raise typer.Exit(status)


class Examination:
    """The steps of the doctor. Each returns what is good, or raises what is wrong."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}

    def settings(self) -> str:
        """Read the environment variables."""
        self._settings = settings_from(os.environ, {})
        origin = self._settings["base_url"] = resolved_origin(self._settings["environment"], self._settings["base_url"])
        return f"The settings are complete. The gateway is {origin}."

    def key(self) -> str:
        """Load the private key."""
        key = self._settings["private_key"] = load_private_key(
            self._settings["private_key"], self._settings.pop("passphrase")
        )
        if key.key_size < _MIN_KEY_BITS:
            raise ConfigurationError(
                f"The private key has only {key.key_size} bits. Create one of at least {_MIN_KEY_BITS}."
            )
        return f"The private key can be read: RSA, {key.key_size} bits."

    def clock(self) -> str:
        """Compare this machine's clock with the gateway's."""
        origin = self._settings["base_url"]
        route: dict[str, Any] = {"proxy": environment_proxy(origin), "verify": certificates(origin)}
        try:
            with httpx.Client(**route, trust_env=False, timeout=10.0) as http:
                date = http.head(origin).headers.get("Date")
        except (httpx.TransportError, OSError) as error:
            raise NetworkError(
                f"The gateway cannot be reached: {redact(str(error))}. Check the network and any proxy."
            ) from None
        if date is None:
            return "The gateway does not send its time, so the clock was not compared."
        minutes = clock_difference(date, now=time.time()) / 60
        if abs(minutes) > CLOCK_TOLERANCE / 60:
            way = "behind" if minutes > 0 else "ahead of"
            raise ConfigurationError(
                f"This machine's clock is {abs(minutes):.0f} minutes {way} the gateway's. Set it, for example with NTP."
            )
        return "The clock agrees with the gateway's."

    def signature(self) -> str:
        """Check a random token: only a request whose signature was accepted gets the gateway's "not found"."""
        with WonderClient(**self._settings) as wonder:
            try:
                wonder.check_token(uuid4())
            except APIError as error:
                # An error without a code comes from some other server.
                is_accepted = isinstance(error, NotFoundError | BadRequestError) and error.code is not None
                if not is_accepted or error.code == _INVALID_CREDENTIAL:
                    raise
        return "The gateway accepts the signature."
