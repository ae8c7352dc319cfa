"""The command line: ``wonder-payment check`` and ``demo`` (extra: ``cli``)."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

import attrs
import typer
from rich.console import Console
from rich.text import Text

from . import InvalidTokenError, PaymentToken, TokenState, WonderClient, WonderError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run"]

# Exit statuses, beside 0 for verified; 2 is typer's own.
_ERROR, _USAGE, _PENDING, _FAILED = 1, 2, 3, 4

_LOOK = {"success": ("✔", "green"), "failed": ("✘", "red")}

app = typer.Typer(
    help="Check a customer's payment token at the Wonder payment gateway.",
    epilog="Settings come from the environment: WONDER_APP_ID, WONDER_PRIVATE_KEY or WONDER_PRIVATE_KEY_FILE, "
    "WONDER_PRIVATE_KEY_PASSPHRASE, WONDER_ENVIRONMENT (sandbox or production), WONDER_BASE_URL, WONDER_LANGUAGE. "
    "Exit status: 0 verified, 1 error, 2 usage, 3 pending, 4 failed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_Token = Annotated[str, typer.Argument(help="The payment token: a UUID.", show_default=False)]
_CustomerUuid = Annotated[str | None, typer.Option("--customer-uuid", help="The customer's UUID; not needed.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON, card and all.")]


def run() -> None:
    """Run the command that the program's arguments name."""
    app()


@app.command()
def check(token: _Token, *, customer_uuid: _CustomerUuid = None, as_json: _Json = False) -> None:
    """Ask the gateway once how far a payment token is."""

    def ask() -> PaymentToken:
        with WonderClient.from_env() as wonder:
            return wonder.check_token(token, customer_uuid=customer_uuid)

    _finish(_or_exit(ask), as_json=as_json)


@app.command()
def demo() -> None:
    """See it work without an account: check tokens at a gateway of this machine's own until 3-D Secure ends."""
    from .simulator import SimulatedGateway  # noqa: PLC0415 (it needs another extra)

    console = Console(highlight=False)
    with SimulatedGateway() as gateway, gateway.client() as wonder:
        console.print(f"A gateway that verifies every signature runs at [bold]{gateway.base_url}[/bold].")
        console.print("Its key was made just now and is thrown away at the end.\n")
        for story, end in (("passes", TokenState.SUCCESS), ("fails", TokenState.FAILED)):
            token = gateway.add_token(states=[TokenState.PENDING, TokenState.PENDING, end])
            console.print(f"A card whose holder [bold]{story}[/bold] 3-D Secure:")
            began = time.monotonic()
            while True:
                answer = wonder.check_token(token)
                console.print(Text(f"  {time.monotonic() - began:4.1f} s  ").append(_line(answer)))
                if not answer.is_pending:
                    break
                time.sleep(1)
            console.print()
    refused = sum(request.verdict.refusal is not None for request in gateway.requests)
    console.print(f"{len(gateway.requests)} requests came in, each signed anew; {refused} signatures were refused.")


def _or_exit(ask: Callable[[], PaymentToken]) -> PaymentToken:
    """Return the answer, or end the program with one line on stderr."""
    try:
        return ask()
    except WonderError as error:
        print(f"wonder-payment: {error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(_USAGE if isinstance(error, InvalidTokenError) else _ERROR) from None


def _finish(answer: PaymentToken, *, as_json: bool) -> None:
    """Print the answer and exit with its status."""
    if as_json:
        print(json.dumps(attrs.asdict(answer), indent=2, default=str))  # noqa: T201
    else:
        Console(highlight=False, soft_wrap=True).print(_line(answer))
    if not answer.is_verified:
        raise typer.Exit(_FAILED if answer.is_failed else _PENDING)


def _line(answer: PaymentToken) -> Text:
    """Return the answer in a line that shows no secret."""
    sign, colour = _LOOK.get(answer.state, ("…", "yellow"))
    line = Text(f"{sign} {answer.state}", style=colour)
    line.append(f"  {answer.token_type} …{answer.token[-4:]}", style="default")
    if answer.card and answer.card.last4:
        line.append(f"  {answer.card.brand or 'card'} …{answer.card.last4}", style="default")
        if answer.card.expires_on:
            line.append(f" until {answer.card.expires_on:%m/%Y}", style="default")
    if answer.is_failed:
        line.append(f"  {answer.error_code}: {answer.error_message}", style="default")
    return line
