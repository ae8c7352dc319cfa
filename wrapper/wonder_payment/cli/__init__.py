"""The command line: ``wonder-payment check | wait | batch | doctor | simulator | demo`` (extra: ``cli``)."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from wonder_payment._redact import without_secrets

from . import batch, demo, doctor, simulator, tokens
from .output import prepare_output

__all__ = ["app", "run"]

# typer's error for wrong arguments, which it does not export.
_UsageError: Any = typer.BadParameter.__mro__[1]


class _Commands(TyperGroup):
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


app = typer.Typer(
    cls=_Commands,
    help="Check customers' payment tokens at the Wonder payment gateway.",
    epilog="Settings come from environment variables: WONDER_APP_ID, WONDER_PRIVATE_KEY or WONDER_PRIVATE_KEY_FILE, "
    "WONDER_PRIVATE_KEY_PASSPHRASE, WONDER_ENVIRONMENT (sandbox or production), WONDER_BASE_URL, WONDER_LANGUAGE. "
    "Exit status: 0 verified, 1 error, 2 usage, 3 pending, 4 failed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: rendering Markdown takes longer to load than everything else
)
for command in (tokens.check, tokens.wait, batch.batch, doctor.doctor, simulator.simulator, demo.demo):
    app.command()(command)


def run() -> None:
    """Run the command that the program's arguments name."""
    prepare_output()
    app()
