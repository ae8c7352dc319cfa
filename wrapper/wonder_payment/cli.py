"""The command line: ``wonder-payment check | wait | sweep | doctor | gateway | demo`` (extra: ``cli``)."""

from __future__ import annotations

import json
import logging
import signal
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

import wonder_payment

from .errors import InvalidTokenError, StillPendingError, WonderError, redact, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from . import PaymentToken, WonderClient

__all__ = ["run"]

# Exit statuses, beside 0 for verified; 2 is typer's own.
_ERROR, _USAGE, _PENDING, _FAILED = 1, 2, 3, 4

# typer's error for wrong arguments, which it does not export itself.
_UsageError: Any = typer.BadParameter.__mro__[1]

_SIGNS = {"success": ("✔", "green"), "failed": ("✘", "red")}


class _Commands(TyperGroup):
    """Keeps a token out of the message that something is wrong with the arguments."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _quoting_nothing():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _quoting_nothing():
            return super().invoke(ctx)


@contextmanager
def _quoting_nothing() -> Generator[None]:
    try:
        yield
    except _UsageError as error:
        error.message = without_secrets(str(error.message))
        raise


app = typer.Typer(
    cls=_Commands,
    help="Check a customer's payment token at the Wonder payment gateway.",
    epilog="Settings come from the environment: WONDER_APP_ID, WONDER_PRIVATE_KEY or WONDER_PRIVATE_KEY_FILE, "
    "WONDER_PRIVATE_KEY_PASSPHRASE, WONDER_ENVIRONMENT (sandbox or production), WONDER_BASE_URL, WONDER_LANGUAGE. "
    "Exit status: 0 verified, 1 error, 2 usage, 3 pending, 4 failed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text; what renders Markdown takes longer to load than all the rest
)

_Token = Annotated[str, typer.Argument(help="The payment token: a UUID.", show_default=False)]
_CustomerUuid = Annotated[str | None, typer.Option("--customer-uuid", help="The customer's UUID; not needed.")]
_Source = Annotated[Path, typer.Argument(metavar="FILE|-", help="The tokens, one a line; - reads stdin.")]
_Column = Annotated[str | None, typer.Option(help="The column of a CSV that has the tokens.", metavar="NAME")]
_Output = Annotated[
    Path | None,
    typer.Option(help="Write there, not to stdout; what it has already is not asked again.", dir_okay=False),
]
_Concurrency = Annotated[int, typer.Option(help="How many to ask at a time.", min=1, max=10_000)]
_Json = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON, card and all.")]
_Timeout = Annotated[float, typer.Option(help="Seconds to wait at the most.", min=0.1, max=1e9)]
_Port = Annotated[int, typer.Option(help="The port on 127.0.0.1; 0 for any that is free.", min=0, max=65535)]


def run() -> None:
    """Run the command that the program's arguments name."""
    app()


@app.command()
def check(token: _Token, *, customer_uuid: _CustomerUuid = None, as_json: _Json = False) -> None:
    """Ask once how far a payment token is."""
    _finish(lambda wonder: wonder.check_token(token, customer_uuid=customer_uuid), as_json=as_json)


@app.command()
def wait(
    token: _Token, *, timeout: _Timeout = 60.0, customer_uuid: _CustomerUuid = None, as_json: _Json = False
) -> None:
    """Ask until 3-D Secure has ended. If the time is over first, the exit status is 3."""
    progress = _Progress(Console(highlight=False))

    def ask(wonder: WonderClient) -> PaymentToken:
        return progress.ask(wonder, token, quiet=as_json, timeout=timeout, customer_uuid=customer_uuid)

    _finish(ask, as_json=as_json)


@app.command()
def sweep(
    source: _Source,
    *,
    column: _Column = None,
    output: _Output = None,
    concurrency: _Concurrency = 16,
    customer_uuid: _CustomerUuid = None,
) -> None:
    """Ask for many tokens, and write the answers as JSON lines.

    With --output it can be stopped: the same command goes on where it was. The exit status is 0 when all were asked.
    """
    from . import sweeping  # noqa: PLC0415 (no --help needs what it needs)

    sweeping.sweep(source, column=column, output=output, concurrency=concurrency, customer_uuid=customer_uuid)


@app.command()
def doctor() -> None:
    """Check settings, key, clock and signature. What is wrong is said, and what to do about it."""
    from .doctor import Examination  # noqa: PLC0415 (no --help needs what it needs)

    console = Console(highlight=False, soft_wrap=True)
    examination = Examination()
    is_well = True
    for step in (examination.settings, examination.key, examination.clock, examination.signature):
        try:
            console.print(Text("✔ ", style="green").append(step(), style="default"))
        except WonderError as error:
            is_well = False
            console.print(Text("✘ ", style="red").append(_told(error), style="default"))
            if step in (examination.settings, examination.key):
                break  # what follows needs it
    if not is_well:
        raise typer.Exit(_ERROR)


@app.command()
def gateway(*, port: _Port = 0) -> None:
    """Run a gateway on this machine until Ctrl-C. It checks signatures and plays 3-D Secure."""
    from .simulator import WELL_KNOWN, SimulatedGateway  # noqa: PLC0415 (it needs another extra)

    # Ctrl-C as ever, and the same for whoever stops a process by its id.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        try:
            running = stack.enter_context(SimulatedGateway(port=port))
        except OSError as error:
            problem = f"port {port} of 127.0.0.1: {error.strerror}. Choose another with --port."
            typer.echo(f"wonder-payment: {problem}", err=True)
            raise typer.Exit(_ERROR) from None
        # What a shell already has must not get in their way.
        lines = ["unset WONDER_PRIVATE_KEY_FILE WONDER_PRIVATE_KEY_PASSPHRASE"]
        lines += [f"export {name}='{value}'" for name, value in running.environ.items()]
        lines += ["", f"# Its tokens and what came in: {running.base_url}/", "# Tokens to try:"]
        lines += [f"#   {known.token}  {known.behaviour}" for known in WELL_KNOWN]
        typer.echo("\n".join(lines))
        try:
            signal.pause()
        except KeyboardInterrupt:
            typer.echo("# stopped")


@app.command()
def demo() -> None:
    """See it work without an account. Waits for 3-D Secure at a gateway of this machine's own."""
    from .simulator import Fault, SimulatedGateway  # noqa: PLC0415 (it needs another extra)

    console = Console(highlight=False)
    log = _Log(console)
    logging.getLogger("wonder_payment").addHandler(log)
    foul = [Fault(status=502, headers={"Content-Type": "text/html"}), Fault(broken="reset in the middle")]
    stories: list[tuple[str, list[str], list[Fault], float]] = [
        ("The card holder passes 3-D Secure.", ["pending", "pending", "pending", "success"], [], 60.0),
        ("The card holder fails it. That is an answer, not an exception.", ["pending", "failed"], [], 60.0),
        ("A bad gateway, then a connection that breaks: asked again.", ["success"], foul, 60.0),
        ("The card holder went to lunch, and the service waits for 2 seconds only.", ["pending"], [], 2.0),
    ]
    try:
        with SimulatedGateway() as running, running.client() as wonder:
            console.print(f"A gateway that verifies every signature runs at [bold]{running.base_url}[/bold].")
            console.print("Its key was made just now and is thrown away at the end.")
            for title, states, faults, timeout in stories:
                token = running.add_token(states=states)
                for fault in faults:
                    running.inject(fault, token=token)
                console.print(
                    f"\n[bold]{title}[/bold]\n[dim]wait_for_token('…{token[-4:]}', timeout={timeout:g})[/dim]"
                )
                progress = _Progress(console)
                try:
                    progress.line(wonder.wait_for_token(token, timeout=timeout, on_poll=progress.on_poll))
                except StillPendingError as error:
                    progress.row("", Text(f"StillPendingError: {error}", style="yellow"))
        refused = sum(request.verdict.refusal is not None for request in running.requests)
        console.print(
            f"\n{len(running.requests)} requests came in, each signed anew; {refused} signatures were refused."
        )
    finally:
        logging.getLogger("wonder_payment").removeHandler(log)


class _Log(logging.Handler):
    """Prints the library's own warnings among the demo's lines."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().split(" (request id")[0]
        self._console.print(f"         {record.name}: {message}", style="dim")


class _Progress:
    """How a wait goes: a live line on a terminal, a line for each look elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots")
        self._began = time.monotonic()
        self._token: PaymentToken | None = None
        # Without jitter, which is for crowds, so that the line can tell when the next look is.
        self.poll = wonder_payment.PollPolicy(jitter=0.0)
        self._next_look = 0.0

    def ask(self, wonder: WonderClient, token: str, *, quiet: bool, **options: Any) -> PaymentToken:
        """Wait for the token, and show it on the way unless quiet."""
        if quiet:
            return wonder.wait_for_token(token, **options)
        if not self._console.is_terminal:
            return wonder.wait_for_token(token, on_poll=self.on_poll, **options)
        with Live(self, console=self._console, refresh_per_second=8, transient=True):
            return wonder.wait_for_token(token, on_poll=self._note, poll=self.poll, **options)

    def on_poll(self, token: PaymentToken) -> None:
        """Print a line for a look; the last one is the caller's to print."""
        if token.is_pending:
            self.line(token)

    def line(self, token: PaymentToken) -> None:
        """Print the line of a look."""
        self.row(f"{self._elapsed:.1f} s", _line(token))

    def row(self, label: str, text: Text) -> None:
        """Print a label and a text, which wraps beside it on a terminal and nowhere else."""
        if self._console.is_terminal:
            row = Table.grid(padding=(0, 2, 0, 0))
            row.add_column(width=7, justify="right")
            row.add_row(label, text)
            self._console.print(row)
        else:
            self._console.print(Text(f"{label:>7}  ").append(text), soft_wrap=True)

    def _note(self, token: PaymentToken) -> None:
        delay = self.poll.delay(self._elapsed) if token.is_pending else 0.0
        self._token, self._next_look = token, self._elapsed + delay

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def __rich__(self) -> Spinner:
        state = self._token.state if self._token else "asking"
        left = self._next_look - self._elapsed
        self._spinner.update(
            text=f"{state}  {self._elapsed:.0f} s  " + (f"next look in {left:.0f} s" if left > 0 else "looking")
        )
        return self._spinner


def _finish(ask: Callable[[WonderClient], PaymentToken], *, as_json: bool) -> None:
    """Ask, print the answer, and exit with its status; an error is one line on stderr."""
    try:
        with wonder_payment.WonderClient.from_env() as wonder:
            answer = ask(wonder)
    except WonderError as error:
        typer.echo(f"wonder-payment: {_told(error)}", err=True)
        if as_json and isinstance(error, StillPendingError) and error.token:
            _print_json(error.token)
        is_usage, is_pending = isinstance(error, InvalidTokenError), isinstance(error, StillPendingError)
        raise typer.Exit(_USAGE if is_usage else _PENDING if is_pending else _ERROR) from None
    if as_json:
        _print_json(answer)
    else:
        Console(highlight=False, soft_wrap=True).print(_line(answer))
    if not answer.is_verified:
        raise typer.Exit(_FAILED if answer.is_failed else _PENDING)


def _print_json(answer: PaymentToken) -> None:
    import attrs  # noqa: PLC0415 (no --help needs it)

    typer.echo(json.dumps(attrs.asdict(answer), indent=2, default=str))


def _told(error: WonderError) -> str:
    """Return an error's message; who types a command knows that nothing was sent."""
    return str(error) if error.attempts else str(error.args[0])


def _line(answer: PaymentToken) -> Text:
    """Return the answer in a line that shows no secret."""
    sign, colour = _SIGNS.get(answer.state, ("…", "yellow"))
    line = Text(f"{sign} {redact(answer.state)}", style=colour)
    line.append(f"  {redact(answer.token_type)} …{answer.token[-4:]}", style="default")
    if answer.card and answer.card.last4:
        line.append(f"  {redact(answer.card.brand or 'card')} …{answer.card.last4}", style="default")
        if answer.card.expires_on:
            line.append(f" until {answer.card.expires_on:%m/%Y}", style="default")
    if answer.is_failed:
        line.append(f"  {redact(answer.error_code or '')}: {redact(answer.error_message or '')}", style="default")
    return line
