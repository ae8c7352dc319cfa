"""``wonder-payment doctor``: checks the settings, the key and the clock, and what the gateway accepts."""

import json
import platform
from typing import Annotated, Any

import attrs
import httpx
import typer
from rich.console import Console
from rich.text import Text

from wonder_payment import InvalidTokenError, TokenReference
from wonder_payment._version import __version__
from wonder_payment.config import checked_customer, checked_uuid

from .examination import Examination, Finding
from .output import ExitStatus, message, print_error, show_log
from .probes import Trial, Verdict
from .tokens import CustomerUuid, Verbose, VerifyUuid

_SIGNS = {Verdict.OK: ("✔", "green"), Verdict.WRONG: ("✘", "red"), Verdict.UNKNOWN: ("?", "yellow")}

_Token = Annotated[
    str | None,
    typer.Option("--token", help="A payment token. Find out which arguments its check needs.", metavar="TOKEN"),
]
_Json = Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")]


def doctor(
    *,
    token: _Token = None,
    customer_uuid: CustomerUuid = None,
    verify_uuid: VerifyUuid = None,
    as_json: _Json = False,
    verbose: Verbose = False,
) -> None:
    """Check settings, key, connection, clock, signature and the check endpoint. Say how to fix each problem.

    The output has no secrets, so you can paste it into a bug report. With --token, the doctor checks the token with and
    without the UUIDs that you pass, and prints the arguments to use. The exit status is 0 if all is well, 1 if
    something is wrong, 2 for wrong usage, and 3 if nothing is wrong but something is unknown.
    """
    if verbose:
        show_log()
    if token is None and (customer_uuid is not None or verify_uuid is not None):
        raise typer.BadParameter("--customer-uuid and --verify-uuid need --token.")
    try:
        reference = None if token is None else _reference(token, customer_uuid, verify_uuid)
    except InvalidTokenError as error:
        print_error(message(error))
        raise typer.Exit(ExitStatus.USAGE) from None
    versions = {"wonder-payment": __version__, "python": platform.python_version(), "httpx": httpx.__version__}
    console = Console(highlight=False, soft_wrap=True)
    if not as_json:
        console.print(", ".join(f"{name} {version}" for name, version in versions.items()), style="dim")
    findings: list[Finding] = []
    for finding in Examination(reference).findings():
        findings.append(finding)
        if not as_json:
            _print(console, finding)
    if as_json:
        content = {finding.name: attrs.asdict(finding, filter=_is_reported) for finding in findings}
        typer.echo(json.dumps({"versions": versions, **content}, indent=2))
    verdicts = {finding.verdict for finding in findings}
    if Verdict.WRONG in verdicts:
        raise typer.Exit(ExitStatus.ERROR)
    if Verdict.UNKNOWN in verdicts:
        raise typer.Exit(ExitStatus.PENDING)


def _reference(token: str, customer_uuid: str | None, verify_uuid: str | None) -> TokenReference:
    verify = None if verify_uuid is None else str(checked_uuid("verify_uuid", verify_uuid))
    return TokenReference(str(checked_uuid("token", token)), checked_customer(customer_uuid), verify)


def _is_reported(attribute: Any, value: object) -> bool:
    if attribute.name in ("replies", "trials"):
        return bool(value)
    return attribute.name not in ("name", "date") and not (attribute.name == "use" and value is None)


def _print(console: Console, finding: Finding) -> None:
    sign, color = _SIGNS[finding.verdict]
    console.print(Text(f"{sign} ", style=color).append(f"{finding.name:<12}{finding.text}", style="default"))
    if finding.trials:
        console.print(_table(finding.trials))
    if finding.use is not None:
        python = "".join(f", {name}={name}" for name in finding.use)
        options = "".join(f" --{name.replace('_', '-')} UUID" for name in finding.use)
        console.print(f"\n  Use from now on:  check_token(token{python})")
        console.print(f"                    wonder-payment check TOKEN{options}")


def _table(made: list[Trial]) -> Text:
    """Return the trials as a table that a bug report can quote."""
    rows = [("path", "verify_uuid", "works", "request id", "response")]
    rows += [
        (
            f"customer {trial.customer_uuid}" if trial.customer_uuid else "literal uuid",
            trial.verify_uuid or "-",
            "yes" if trial.works else "no",
            trial.reply.request_id or "-",
            str(trial.reply),
        )
        for trial in made
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return Text("\n" + "\n".join(f"  {line}" for line in lines))
