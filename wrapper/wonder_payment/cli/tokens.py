"""The commands for one token: ``wonder-payment check`` and ``wonder-payment wait``."""

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from wonder_payment import InvalidTokenError, PaymentToken, StillPendingError, WonderClient, WonderError

from .output import ExitStatus, Progress, message, print_error, print_json, show_log, token_line

CustomerUuid = Annotated[
    str | None,
    typer.Option("--customer-uuid", help="The customer's UUID; the real gateway most likely needs it.", metavar="UUID"),
]
VerifyUuid = Annotated[
    str | None,
    typer.Option(
        "--verify-uuid", help="The verify_uuid of the response that created the token, if you have it.", metavar="UUID"
    ),
]

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print the library's log on stderr.")]

_Token = Annotated[str, typer.Argument(help="The payment token: a UUID.", metavar="TOKEN")]
_Json = Annotated[bool, typer.Option("--json", help="Print the whole result as JSON, with the card.")]
_Timeout = Annotated[float, typer.Option(help="Maximum time to wait.", metavar="SECONDS", min=0.1, max=1e9)]


def check(
    token: _Token,
    *,
    customer_uuid: CustomerUuid = None,
    verify_uuid: VerifyUuid = None,
    as_json: _Json = False,
    verbose: Verbose = False,
) -> None:
    """Check a payment token once."""
    if verbose:
        show_log()
    _report(
        lambda wonder: wonder.check_token(token, customer_uuid=customer_uuid, verify_uuid=verify_uuid), as_json=as_json
    )


def wait(
    token: _Token,
    *,
    timeout: _Timeout = 60,
    customer_uuid: CustomerUuid = None,
    verify_uuid: VerifyUuid = None,
    as_json: _Json = False,
    verbose: Verbose = False,
) -> None:
    """Poll until 3-D Secure completes. If it does not complete in time, the exit status is 3."""
    if verbose:
        show_log()

    def wait_for_token(wonder: WonderClient) -> PaymentToken:
        if as_json:
            return wonder.wait_for_token(token, timeout=timeout, customer_uuid=customer_uuid, verify_uuid=verify_uuid)
        progress = Progress(Console(highlight=False))
        return progress.wait(wonder, token, timeout=timeout, customer_uuid=customer_uuid, verify_uuid=verify_uuid)

    _report(wait_for_token, as_json=as_json)


def _report(call: Callable[[WonderClient], PaymentToken], *, as_json: bool) -> None:
    """Print the result of a call and exit with its status. An error is one line on stderr."""
    try:
        with WonderClient.from_env() as wonder:
            token = call(wonder)
    except WonderError as error:
        print_error(message(error))
        if not isinstance(error, StillPendingError):
            raise typer.Exit(ExitStatus.USAGE if isinstance(error, InvalidTokenError) else ExitStatus.ERROR) from None
        if as_json and error.token:
            print_json(error.token)
        raise typer.Exit(ExitStatus.PENDING) from None
    if as_json:
        print_json(token)
    else:
        Console(highlight=False, soft_wrap=True).print(token_line(token))
    if not token.is_verified:
        raise typer.Exit(ExitStatus.FAILED if token.is_failed else ExitStatus.PENDING)
