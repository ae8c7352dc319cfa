"""The command line: ``wonder-payment check | wait | batch | doctor | simulator | demo`` (extra: ``cli``)."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from wonder_payment._redact import without_secrets
from wonder_payment._version import __version__

from . import batch, demo, doctor, simulator, tokens
from .help import Command, Group
from .output import prepare_output, show_log

__all__ = ["app", "run"]

# typer's error for wrong arguments, which it does not export.
_UsageError: Any = typer.BadParameter.__mro__[1]


class _Commands(Group):
    """Keeps tokens out of the messages about wrong arguments."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _redacted_usage_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _redacted_usage_errors():
            return super().invoke(ctx)


@contextmanager
def _redacted_usage_errors() -> Generator[None]:
    try:
        yield
    except _UsageError as error:
        error.message = without_secrets(str(error.message))
        raise


def _print_version(*, is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"wonder-payment {__version__}")
        raise typer.Exit


_Version = Annotated[
    bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
]

_EPILOG = """\
Environment variables:
  WONDER_APP_ID                  the app's id
  WONDER_PRIVATE_KEY             the RSA private key, as PEM or base64
  WONDER_PRIVATE_KEY_FILE        or the path of its file
  WONDER_PRIVATE_KEY_PASSPHRASE  the key's passphrase, if it has one
  WONDER_ENVIRONMENT             sandbox or production
  WONDER_BASE_URL                another gateway, such as the simulator
  WONDER_LANGUAGE                the language of the gateway's messages

Exit status:
  0 verified, 1 error, 2 wrong usage, 3 pending, 4 failed, 130 stopped

Examples:
  export WONDER_APP_ID=app WONDER_PRIVATE_KEY_FILE=key.pem
  export WONDER_ENVIRONMENT=sandbox
  wonder-payment wait TOKEN --timeout 120
  wonder-payment batch tokens.txt --output results.jsonl"""


def _main(*, version: _Version = False, verbose: tokens.Verbose = False) -> None:  # noqa: ARG001
    """Check customers' payment tokens at the Wonder payment gateway."""
    if verbose:
        show_log()


app = typer.Typer(
    cls=_Commands,
    callback=_main,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["--help", "-h"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: rendering Markdown takes longer to load than everything else
)
for command in (tokens.check, tokens.wait, batch.batch, doctor.doctor, simulator.simulator, demo.demo):
    app.command(cls=Command)(command)


def run() -> None:
    """Run the command that the program's arguments name."""
    prepare_output()
    app()
