"""The steps of ``wonder-payment doctor``, each with what it found."""

import os
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import attrs
import httpx

from wonder_payment import ConfigurationError, TokenReference, WonderError
from wonder_payment._http.environment import network_options, proxy_setting
from wonder_payment._http.response import CLOCK_TOLERANCE, http_date
from wonder_payment._keys import loaded_key
from wonder_payment.config import is_loopback, key_variable, resolved_origin, settings_from

from .output import message
from .probes import (
    ECHO_PATHS,
    Gateway,
    Recorder,
    Reply,
    Trial,
    Verdict,
    best,
    despite_echo,
    random_token_verdict,
    recommended,
    signature_verdict,
    trials,
)

_MIN_KEY_BITS = 2048


@attrs.frozen
class Finding:
    """What the doctor found in one step.

    Attributes:
        verdict: Good, wrong or unknown.
        text: What was found, and the fix.
        name: The step.
        replies: The gateway's responses to the requests of the step.
        trials: The checks of the token.
        use: The arguments to use from now on; None if there was no token, or no check found it.
    """

    verdict: Verdict
    text: str
    name: str = ""
    replies: list[Reply] = attrs.field(factory=list)
    trials: list[Trial] = attrs.field(factory=list)
    use: list[str] | None = None


class Examination:
    """The steps of the doctor.

    Args:
        reference: The token to check, with the UUIDs to try; None for a random token.
    """

    def __init__(self, reference: TokenReference | None) -> None:
        self._reference = reference
        self._settings: dict[str, Any] = {}
        self._key_variable: str
        self._gateway: Gateway
        self._date: str | None = None
        self._echo = Verdict.UNKNOWN

    def findings(self) -> Iterator[Finding]:
        """Run the steps in order; stop after a failed step that the later ones need."""
        for step in (self.settings, self.key, self.connection, self.clock, self.signature, self.check):
            try:
                finding = step()
            except WonderError as error:
                finding = Finding(Verdict.WRONG, message(error))
            yield attrs.evolve(finding, name=step.__name__)
            if finding.verdict is Verdict.WRONG and step in (self.settings, self.key, self.connection):
                break

    def settings(self) -> Finding:
        """Read the environment variables."""
        settings = self._settings = settings_from(os.environ, {})
        self._key_variable = key_variable(settings["private_key"])
        origin = resolved_origin(settings["environment"], settings["base_url"])
        names = {name: f"WONDER_{name.upper()}" for name in ("app_id", "environment", "base_url", "language")}
        shown = [f"{names[name]}={settings[name]}" for name in names if settings[name] is not None]
        self._settings |= {"base_url": origin, "environment": None}
        return Finding(Verdict.OK, ", ".join(shown))

    def key(self) -> Finding:
        """Load the private key."""
        passphrase = self._settings.pop("passphrase")
        names = (self._key_variable, "WONDER_PRIVATE_KEY_PASSPHRASE")
        key = self._settings["private_key"] = loaded_key(self._settings["private_key"], passphrase, *names)
        if key.key_size < _MIN_KEY_BITS:
            raise ConfigurationError(
                f"{self._key_variable}: the key has only {key.key_size} bits. Create one of at least {_MIN_KEY_BITS}."
            )
        decrypted = ", decrypted with WONDER_PRIVATE_KEY_PASSPHRASE" if passphrase else ""
        return Finding(Verdict.OK, f"{self._key_variable}: RSA, {key.key_size} bits{decrypted}")

    def connection(self) -> Finding:
        """Connect to the gateway."""
        origin = self._settings["base_url"]
        options = network_options(origin)
        proxy = options["proxy"]
        self._gateway = Gateway(self._settings, Recorder(httpx.HTTPTransport(**options)))
        reply = self._gateway.head()
        route = f"{origin} {route_to(origin, proxy)}"
        if reply.status is None:
            fix = "Check the network and the proxy." if proxy else "Check the network, and whether a proxy is required."
            return Finding(Verdict.WRONG, f"cannot reach {route}: {reply.text}. {fix}")
        self._date = reply.date
        return Finding(Verdict.OK, f"connected to {route}")

    def clock(self) -> Finding:
        """Compare this machine's clock with the gateway's."""
        gateway_time = http_date(self._date)
        if gateway_time is None:
            return Finding(Verdict.UNKNOWN, "unknown: the gateway does not send its time")
        minutes = (gateway_time - time.time()) / 60
        if abs(minutes) > CLOCK_TOLERANCE / 60:
            way = "behind" if minutes > 0 else "ahead of"
            text = f"{abs(minutes):.0f} minutes {way} the gateway's clock. Set the clock, for example with NTP."
            return Finding(Verdict.WRONG, text)
        return Finding(Verdict.OK, "agrees with the gateway's")

    def signature(self) -> Finding:
        """Send the echo request to its two known paths, until one accepts the signature."""
        replies: list[Reply] = []
        verdict = Verdict.UNKNOWN
        for path in ECHO_PATHS:
            replies.append(self._gateway.echo(path))
            verdict = best(signature_verdict(reply) for reply in replies)
            if verdict is Verdict.OK:
                break
        self._echo = verdict
        return Finding(verdict, self._text(verdict, ("accepted", "rejected", "unknown"), replies), replies=replies)

    def check(self) -> Finding:
        """Check the token in each form of the request; or a random token, which the gateway must not know."""
        if self._reference:
            return self._check_token(self._reference)
        reply = attrs.evolve(self._gateway.check(TokenReference(uuid4())).reply, request="random token")
        verdict = despite_echo(random_token_verdict(reply), self._echo)
        text = self._text(verdict, ("responds", "rejected", "unknown"), [reply])
        if verdict is Verdict.UNKNOWN:
            text += f".{self._key_is_good([reply])} Use --token with a real token and its customer's UUID to find out."
        return Finding(verdict, text, replies=[reply])

    def _check_token(self, reference: TokenReference) -> Finding:
        made = trials(self._gateway, reference)
        verdict = despite_echo(best(trial.verdict for trial in made), self._echo)
        chosen = recommended(made)
        if chosen:
            given = {"customer_uuid": chosen.customer_uuid, "verify_uuid": chosen.verify_uuid}
            use = [name for name, value in given.items() if value]
            return Finding(verdict, "the gateway returned the token", trials=made, use=use)
        if verdict is Verdict.WRONG:
            text = f"rejected.{self._advice([trial.reply for trial in made])}"
        else:
            text = f"unknown: no request returned the token.{self._key_is_good([trial.reply for trial in made])}"
            text += " Check that it was created in this environment for this app."
            arguments = {"--customer-uuid": reference.customer_uuid, "--verify-uuid": reference.verify_uuid}
            if missing := [option for option, uuid in arguments.items() if uuid is None]:
                text += f" Also try {' and '.join(missing)}."
        return Finding(verdict, text, trials=made)

    def _text(self, verdict: Verdict, words: tuple[str, str, str], replies: list[Reply]) -> str:
        word = dict(zip(Verdict, words, strict=True))[verdict]
        # If the verdict is clear, only the responses that it follows from are of interest.
        clear = [reply for reply in replies if signature_verdict(reply) is verdict]
        shown = replies if verdict is Verdict.UNKNOWN else clear[:1] or replies
        text = f"{word}: " + "; ".join(f"{reply.request}: {reply}" for reply in shown)
        return text + (f".{self._advice(replies)}" if verdict is Verdict.WRONG else "")

    def _key_is_good(self, replies: list[Reply]) -> str:
        is_rejected = any(signature_verdict(reply) is Verdict.WRONG for reply in replies)
        is_good = is_rejected and self._echo is Verdict.OK
        return " The app id and the key are good: the echo request was accepted." if is_good else ""

    def _advice(self, replies: list[Reply]) -> str:
        target = "WONDER_BASE_URL" if os.environ.get("WONDER_BASE_URL") else "WONDER_ENVIRONMENT"
        advice = f" Check WONDER_APP_ID and {target}, and that the vendor has the public half of {self._key_variable}."
        if any({403, "403"} & {reply.status, reply.code} for reply in replies):
            advice += (
                " A 403 can also come from the app id's IP restriction: this machine's IPv4 address, or its proxy's, "
                "must be allowed."
            )
        return advice


def route_to(origin: str, proxy: httpx.Proxy | None) -> str:
    """Return how the gateway is reached, with the variable of the proxy and without its credentials."""
    url = httpx.URL(origin)
    variable, _ = proxy_setting(url.scheme)
    if proxy:
        return f"through the proxy of {variable}, {proxy.url.netloc.decode('ascii')}"
    if variable and not is_loopback(url.host):
        return f"directly, because NO_PROXY excludes it from {variable}"
    return "directly"
