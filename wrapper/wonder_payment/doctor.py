"""What ``wonder-payment doctor`` looks at."""

from __future__ import annotations

import os
import time
from typing import Any
from uuid import uuid4

import httpx

from .client import WonderClient
from .config import resolved_origin, settings_from
from .errors import APIError, BadRequestError, ConfigurationError, NetworkError, NotFoundError
from .gateway import goes_by_environment
from .headers import clock_difference
from .signing import CLOCK_TOLERANCE, load_private_key

__all__ = ["Examination"]

_FEWEST_BITS = 2048


class Examination:
    """The steps of `doctor`: each says what is well, or raises what is not."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}

    def settings(self) -> str:
        """Look for all the variables."""
        self._settings = settings_from(os.environ, {})
        origin = self._settings["base_url"] = resolved_origin(self._settings["environment"], self._settings["base_url"])
        return f"The settings are complete; the gateway is {origin}."

    def key(self) -> str:
        """Load the private key."""
        key = self._settings["private_key"] = load_private_key(
            self._settings["private_key"], self._settings.pop("passphrase")
        )
        if key.key_size < _FEWEST_BITS:
            raise ConfigurationError(f"The private key has only {key.key_size} bits: make one of {_FEWEST_BITS}.")
        return f"The private key loads: RSA, {key.key_size} bits."

    def clock(self) -> str:
        """Compare this machine's clock with the gateway's."""
        origin = self._settings["base_url"]
        try:
            date = httpx.head(origin, timeout=10.0, trust_env=goes_by_environment(origin)).headers.get("Date")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
            raise NetworkError(f"The gateway can't be reached: {error}. Check the network, and any proxy.") from None
        seconds = clock_difference(date, now=time.time())
        if abs(seconds) > CLOCK_TOLERANCE:
            raise ConfigurationError(f"The clock is {-seconds / 60:+.0f} minutes off the gateway's: set it, as by NTP.")
        return "The clock agrees with the gateway's." if date else "The gateway does not tell its time."

    def signature(self) -> str:
        """Ask for a token that nobody has, and see whether the gateway accepts who asks."""
        with WonderClient(**self._settings) as wonder:
            try:
                wonder.check_token(uuid4())
            except APIError as error:
                # To say in its own words that nobody has this token, the gateway must have accepted who asks. E000002
                # is its word for a Credential it can't read; an answer without a code is some other server's.
                is_gateways_word = isinstance(error, NotFoundError | BadRequestError) and error.code is not None
                if not is_gateways_word or error.code == "E000002":
                    raise
        return "The gateway accepts the signature."
