"""What the commands share: exit statuses, and how a token, an error and a wait are printed."""

import json
import math
import time
from enum import IntEnum
from typing import Any

import attrs
import typer
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from wonder_payment import PaymentToken, PollPolicy, WonderClient, WonderError
from wonder_payment._redact import redact

_SIGNS = {"success": ("✔", "green"), "failed": ("✘", "red")}


class ExitStatus(IntEnum):
    """The exit statuses; 0 means verified, or that the command succeeded."""

    ERROR = 1
    USAGE = 2
    PENDING = 3
    FAILED = 4
    STOPPED = 130


def message(error: WonderError) -> str:
    """Return an error's message, without the "nothing was sent" that only a program needs to know."""
    return str(error) if error.attempts else str(error.args[0])


def print_error(problem: str) -> None:
    """Print one line on stderr."""
    typer.echo(f"wonder-payment: {problem}", err=True)


def print_json(token: PaymentToken) -> None:
    """Print everything that the gateway returned for a token."""
    typer.echo(json.dumps(attrs.asdict(token), indent=2, default=str))


def token_line(token: PaymentToken) -> Text:
    """Return a token in one line that shows no secret."""
    sign, color = _SIGNS.get(token.state, ("…", "yellow"))
    line = Text(f"{sign} {redact(token.state)}", style=color)
    line.append(f"  {redact(token.token_type)} …{token.token[-4:]}", style="default")
    if token.card and token.card.last4:
        line.append(f"  {redact(token.card.brand or 'card')} …{token.card.last4}", style="default")
        if token.card.expires_on:
            line.append(f" until {token.card.expires_on:%m/%Y}", style="default")
    if token.is_failed:
        line.append(f"  {redact(token.error_code or '')}: {redact(token.error_message or '')}", style="default")
    return line


class Progress:
    """The progress of a wait: a live line on a terminal, one line for each poll elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots")
        self._began = time.monotonic()
        self._token: PaymentToken | None = None
        # Without jitter, so that the live line can count down to the next poll.
        self._poll = PollPolicy(jitter=0.0)
        self._next_poll = 0.0

    def wait(self, wonder: WonderClient, token: str, **options: Any) -> PaymentToken:
        """Wait for a token and show the progress."""
        if not self._console.is_terminal:
            return wonder.wait_for_token(token, on_poll=self.on_poll, **options)
        with Live(self, console=self._console, refresh_per_second=8, transient=True):
            return wonder.wait_for_token(token, on_poll=self._note, poll=self._poll, **options)

    def on_poll(self, token: PaymentToken) -> None:
        """Print the line of a poll, except the last one, which the caller prints."""
        if token.is_pending:
            self.line(token)

    def line(self, token: PaymentToken) -> None:
        """Print the line of a poll."""
        self.row(f"{self._elapsed:.1f} s", token_line(token))

    def row(self, label: str, text: Text) -> None:
        """Print a label and a text. On a terminal, a long text is wrapped in its own column."""
        if self._console.is_terminal:
            row = Table.grid(padding=(0, 2, 0, 0))
            row.add_column(width=7, justify="right")
            row.add_row(label, text)
            self._console.print(row)
        else:
            self._console.print(Text(f"{label:>7}  ").append(text), soft_wrap=True)

    def _note(self, token: PaymentToken) -> None:
        delay = self._poll.delay(self._elapsed) if token.is_pending else 0.0
        self._token, self._next_poll = token, self._elapsed + delay

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def __rich__(self) -> Spinner:
        state = redact(self._token.state) if self._token else "no result yet"
        left = self._next_poll - self._elapsed
        activity = f"next poll in {math.ceil(left)} s" if left > 0 else "polling"
        self._spinner.update(text=Text(f"{state}  {self._elapsed:.0f} s  {activity}"))
        return self._spinner
