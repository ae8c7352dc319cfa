"""The help pages, the version, and the library's log on the command line."""

import logging
from collections.abc import Iterator

import pytest
import typer
from commands import VERIFIED, run
from wonder_payment import __version__
from wonder_payment.cli import app
from wonder_payment.simulator import Fault, SimulatedGateway

COMMANDS = typer.main.get_command(app).commands
PAGES = pytest.mark.parametrize("command", ["", *COMMANDS], ids=lambda name: name or "wonder-payment")


def page(command: str, *, columns: int = 80) -> str:
    result = run(None, *command.split(), "--help", COLUMNS=str(columns), TERMINAL_WIDTH=str(columns))
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The library's logger, which is left as it was."""
    logger = logging.getLogger("wonder_payment")
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


@PAGES
def test_a_page_fits_80_columns_and_is_the_same_for_both_options(command: str) -> None:
    assert max(map(len, page(command).splitlines())) <= 80
    assert run(None, *command.split(), "-h", COLUMNS="80").stdout == page(command)


@PAGES
def test_a_page_shows_plain_names_and_no_types_or_bounds(command: str) -> None:
    shown = page(command)
    for text in ("{", "}", "<=", ">=", "range", "RANGE", "<str>", "TEXT", "None", "[required]"):
        assert text not in shown


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("command", COMMANDS)
def test_lines_break_between_words_only(command: str, columns: int) -> None:
    words = " ".join(page(command, columns=columns).split())
    for parameter in COMMANDS[command].params:
        assert parameter.help in words
    assert " ".join(COMMANDS[command].help.split()) in words


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("", "wonder-payment [OPTIONS] COMMAND [ARGUMENTS]"),
        ("check", "wonder-payment check [OPTIONS] TOKEN"),
        ("wait", "wonder-payment wait [OPTIONS] TOKEN"),
        ("batch", "wonder-payment batch [OPTIONS] FILE|-"),
        ("demo", "wonder-payment demo [OPTIONS]"),
    ],
    ids=["", "check", "wait", "batch", "demo"],
)
def test_the_usage_line_names_the_arguments(monkeypatch: pytest.MonkeyPatch, command: str, usage: str) -> None:
    monkeypatch.setattr(app.info, "name", "wonder-payment")
    assert page(command).splitlines()[0] == f"Usage: {usage}"
    if command:
        assert f"Usage: {usage}\n" in run(None, command, "--no-such-option").stderr


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("wait", "--timeout SECONDS     Maximum time to wait. [default: 60]"),
        ("batch", "--concurrency NUMBER"),
        ("batch", "--rate NUMBER"),
        ("simulator", "--port PORT"),
        ("simulator", "--envelope code|error_code"),
    ],
)
def test_an_option_has_a_name_for_its_value(command: str, text: str) -> None:
    assert f"  {text}" in page(command)


def test_the_main_page_lists_the_environment_variables_and_examples() -> None:
    lines = page("").splitlines()
    names = [
        "APP_ID",
        "PRIVATE_KEY",
        "PRIVATE_KEY_FILE",
        "PRIVATE_KEY_PASSPHRASE",
        "ENVIRONMENT",
        "BASE_URL",
        "LANGUAGE",
    ]
    assert [line.split()[0] for line in lines if line.startswith("  WONDER_")] == [f"WONDER_{name}" for name in names]
    assert len([line for line in lines if line.startswith("  wonder-payment ")]) == 2


def test_no_arguments_show_the_main_page() -> None:
    result = run(None, COLUMNS="80")
    assert (result.exit_code, result.stderr.strip()) == (2, page("").strip())


def test_the_version_is_printed() -> None:
    result = run(None, "--version")
    assert (result.exit_code, result.output) == (0, f"wonder-payment {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [["-v", "check"], ["check", "-v"], ["check", "--verbose"], ["-v", "check", "-v"], ["wait", "-v"]],
    ids=" ".join,
)
@pytest.mark.usefixtures("clock", "logger")
def test_the_log_is_printed_on_stderr(gateway: SimulatedGateway, arguments: list[str]) -> None:
    gateway.inject(Fault(status=502))
    result = run(gateway, *arguments, VERIFIED)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
    events = [line.partition(" wonder_payment: ")[2].split(" (")[0] for line in result.stderr.splitlines()]
    assert [event.partition(" after ")[0].partition("; ")[0] for event in events] == [
        "attempt 1: HTTP 502",
        "attempt 1: HTTP 502",
        "attempt 2: succeeded",
    ]
    assert all(request.request_id in result.stderr for request in gateway.requests)


@pytest.mark.usefixtures("logger")
def test_the_log_of_the_doctor_leaves_its_json_whole(gateway: SimulatedGateway) -> None:
    result = run(gateway, "doctor", "--json", "-v")
    assert (result.exit_code, result.stdout[0], result.stdout[-2:]) == (0, "{", "}\n")
    assert "attempt 1: " in result.stderr


def test_no_log_is_printed_without_the_option(gateway: SimulatedGateway) -> None:
    assert run(gateway, "check", VERIFIED).stderr == ""
