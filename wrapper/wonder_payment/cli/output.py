"""What the commands share: exit statuses, and how a token, an error and a wait are printed."""

import codecs
import io
import json
import logging
import math
import os
import sys
import time
from contextlib import suppress
from enum import IntEnum
from typing import Any, TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from wonder_payment import PaymentToken, PollPolicy, WonderClient, WonderError
from wonder_payment._redact import redact

_SIGNS = {"success": ("✔", "green"), "failed": ("✘", "red")}

# Our signs for a stream that cannot encode them.
_ASCII_SIGNS = str.maketrans({"✔": "+", "✘": "x", "…": "..."})


class ExitStatus(IntEnum):
    """The exit statuses; 0 means verified, or that the command succeeded."""

    ERROR = 1
    USAGE = 2
    PENDING = 3
    FAILED = 4
    STOPPED = 130


def prepare_output() -> None:
    """Make stdout and stderr print every text: what their encoding lacks becomes ASCII."""
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]  # some shells set it; rich would print nothing
    codecs.register_error("ascii_signs", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if the stream is closed
            stream.reconfigure(errors="ascii_signs")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    failed = cast("UnicodeEncodeError", error)
    text = failed.object[failed.start : failed.end].translate(_ASCII_SIGNS)
    return text.encode("ascii", "backslashreplace").decode("ascii"), failed.end


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal, whatever FORCE_COLOR and the like make rich believe."""
    return stream is not None and stream.isatty()


def can_draw(console: Console) -> bool:
    """Return whether progress can be drawn on stderr, the console's stream."""
    return is_terminal(sys.stderr) and console.is_interactive


def message(error: WonderError) -> str:
    """Return an error's message, without the "nothing was sent" that only a program needs to know."""
    return str(error) if error.attempts else str(error.args[0])


def print_error(problem: str) -> None:
    """Print one line on stderr. If that fails, the exit status still says what happened."""
    with suppress(OSError):
        _print(f"wonder-payment: {problem}", sys.stderr)


class _LogOnStderr(logging.Handler):
    """Prints the log on stderr, also while a progress bar has replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            _print(self.format(record), sys.stderr)


_LOG = _LogOnStderr()
_LOG.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))


def show_log() -> None:
    """Print the library's log on stderr, with a line for each attempt."""
    logger = logging.getLogger("wonder_payment")
    logger.addHandler(_LOG)  # once, however often it is called
    logger.setLevel(logging.DEBUG)


def print_json(token: PaymentToken) -> None:
    """Print everything that the gateway returned for a token."""
    _print(json.dumps(token.to_dict(secrets=True), indent=2), sys.stdout)


def _print(text: str, stream: TextIO | None) -> None:
    # Not typer.echo, which writes UTF-8 to an ASCII stream. There is no stream if the shell closed it.
    if stream:
        stream.write(f"{text}\n")
        stream.flush()


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
    """The progress of a wait: a live line on a terminal, one line for each poll elsewhere.

    Args:
        console: stdout, for the lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("line")
        self._began = time.monotonic()
        self._token: PaymentToken | None = None
        # Without jitter, so that the live line can count down to the next poll.
        self._poll = PollPolicy(jitter=0.0)
        self._next_poll = 0.0

    def wait(self, wonder: WonderClient, token: str, **options: Any) -> PaymentToken:
        """Wait for a token and show the progress."""
        live = Console(stderr=True)
        if not (is_terminal(sys.stdout) and can_draw(live)):
            return wonder.wait_for_token(token, on_poll=self.on_poll, **options)
        with Live(self, console=live, refresh_per_second=8, transient=True):
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
        if is_terminal(sys.stdout):
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
