"""The pages match the code: each code block runs, each table has the code's values, and each name exists."""

import ast
import builtins
import configparser
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Self

import attrs
import pytest
import typer
import wonder_payment
from conftest import Clock
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from wonder_payment.cli import app
from wonder_payment.simulator import TEST_TOKENS

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
}

# The first line of a block: its kind, and the name of the file that its reader saves.
INFO = re.compile(r'(?P<kind>\w+)(?: title="(?P<title>[\w.]+)")?')
RUN_BY = re.compile(r"<!-- run by: (?:nox -s (?P<session>\w+)|(?P<script>\S+)) -->\s*$")
NAMED_SESSION = re.compile(r"(?:nox|noxfile\.py) -s (\w+)")
# Not the one-line form, which ruff would format as Python.
INCLUDED_FILE = re.compile(r"--8<--\n(\S+)\n--8<--\n")

SESSIONS = {
    function.name
    for function in ast.parse((ROOT / "noxfile.py").read_text()).body
    if isinstance(function, ast.FunctionDef)
    if any("session" in ast.unparse(decorator) for decorator in function.decorator_list)
}

MAX_SECONDS = 60.0  # for the commands of a block


def _blocks(document: Document) -> Iterator[Region]:
    """Find every fenced block, whatever its first line is."""
    yield from RawFencedCodeBlockLexer(re.compile(r"(?P<info>[^\n]*)\n"))(document)


class Shell:
    """One bash for a page, so that a block's variables and background jobs are there in the next block.

    A block stops at the first command that fails, and has no stdin.
    """

    _LOOP = 'while read -r block; do . "$block" </dev/null >>"$0" 2>&1; echo; done'

    def __init__(self, folder: Path, log: Path, environ: dict[str, str]) -> None:
        self._log = log
        self._bash = subprocess.Popen(
            ["/bin/bash", "-e", "-c", self._LOOP, log],
            cwd=folder,
            env=environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, source: str) -> None:
        """Run a block to its end."""
        assert self._bash.stdin
        assert self._bash.stdout
        script = self._log.with_suffix(".sh")
        script.write_text(source)
        timer = Timer(MAX_SECONDS, self._stop)
        timer.start()
        with suppress(BrokenPipeError):  # bash has ended, so there is no line to read either
            self._bash.stdin.write(f"{script}\n")
            self._bash.stdin.flush()
        line = self._bash.stdout.readline()
        timer.cancel()
        assert line, f"a command failed, or took too long:\n{source}\n{self._log.read_text()}"

    def _stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)  # with its background jobs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()
        with self._bash:
            pass


class Page:
    """Runs the blocks of a page in their order, in their own folder.

    A block with a title is a file that the reader saves. Python blocks share their names. pytest runs the blocks with
    tests at the end of the page.
    """

    def __init__(self, folder: Path, shell: Shell) -> None:
        self.folder = folder
        self.files: dict[str, str] = {}
        self.used: list[str] = []
        self._shell = shell
        self._python = PythonEvaluator()
        self._kinds: dict[str, Callable[[str], object]] = {
            "ini": lambda text: configparser.ConfigParser(interpolation=None).read_string(text),
            "mermaid": str,  # a diagram, which the tests of the site look at
            "sh": shell.run,
            "text": str,  # output: nothing to run
        }

    def run(self, example: Example) -> None:
        """Run a block as its kind requires."""
        source = example.region.lexemes["source"]
        info = INFO.fullmatch(example.region.lexemes["info"])
        assert info, f"line {example.line}: unknown block: {example.region.lexemes['info']}"
        kind, title = info["kind"], info["title"]
        if runner := RUN_BY.search(example.document.text[: example.region.start]):
            _check_runner(runner, source)
        elif included := INCLUDED_FILE.fullmatch(source):
            _check_is_tested(ROOT / included[1])
        elif title:
            assert kind == "python"
            compile(source, title, "exec")
            self.files[title] = source
            (self.folder / title).write_text(source)
        elif kind == "python" and re.search(r"^(async )?def test_", source, re.MULTILINE):
            (self.folder / f"test_line_{example.line}.py").write_text(source)
            self.used.append(source)
        elif kind == "python":
            self.used.append(source)
            example.parsed = source
            self._python(example)
        else:
            assert kind in self._kinds, f"line {example.line}: nothing runs a block of the kind {kind}"
            self.used.append(source)
            self._kinds[kind](source)

    def finish(self) -> None:
        """Run the tests of the page, and check that the page uses all its files."""
        for title in self.files:
            users = [*self.used, *(text for name, text in self.files.items() if name != title)]
            is_run = title.startswith(("test_", "conftest.")) or any(Path(title).stem in text for text in users)
            assert is_run, f"nothing runs {title}"
        if list(self.folder.glob("test_*.py")) and not any("-m pytest" in text for text in self.used):
            self._shell.run("python -W error -m pytest -q -p no:cacheprovider -p no:asyncio")


def _check_runner(runner: re.Match[str], source: str) -> None:
    """Check that a session or a script runs this block elsewhere."""
    if runner["session"]:
        assert runner["session"] in SESSIONS
        return
    # The script has the same commands, except those of a session, which runs them itself.
    commands = {command for line in source.splitlines() if (command := line.split("#")[0].strip())}
    of_sessions = {command for command in commands if NAMED_SESSION.search(command)}
    assert commands - of_sessions <= set((ROOT / runner["script"]).read_text().splitlines())


def _check_is_tested(file: Path) -> None:
    """Check that a file which a page includes has a test, or is one."""
    assert file.exists()
    has_tests = any(file.stem in test.read_text() for test in ROOT.glob("tests/**/*.py"))
    assert file.is_relative_to(ROOT / "tests") or has_tests, f"nothing runs {file.name}"


@pytest.mark.usefixtures("in_environment")
@pytest.mark.parametrize("name", sorted(name for name, text in PAGES.items() if "```" in text))
def test_each_code_block_of_a_page_runs(
    name: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # The commands of this environment, without the user's own settings.
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = dict(os.environ) | {"HOME": str(tmp_path), "PATH": commands, "PYTHONDONTWRITEBYTECODE": "1"}
    document = Document.parse(str(ROOT / name), _blocks)
    document.namespace["__name__"] = "__main__"
    with Shell(folder, tmp_path / "log", environ) as shell:
        page = Page(folder, shell)
        for example in document:
            page.run(example)
        page.finish()
    assert sum(clock.slept) < MAX_SECONDS


def test_each_session_that_a_page_names_exists() -> None:
    named = {
        (name, session)
        for name, text in PAGES.items()
        if name != "CHANGELOG.md"
        for session in NAMED_SESSION.findall(text)
    }
    assert len(named) > 5
    assert {(name, session) for name, session in named if session not in SESSIONS} == set()


def test_each_link_of_the_front_pages_leads_to_a_file() -> None:
    links = {
        (name, link.split("#")[0])
        for name, text in PAGES.items()
        if "/" not in name
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text)
    }
    assert len(links) > 5
    assert {(name, link) for name, link in links if not (ROOT / link).exists()} == set()


def test_the_page_lists_the_test_tokens() -> None:
    rows = re.findall(r"^\| `(0{8}-[0-9-]+)` \| (.*) \|$", PAGES["docs/reference/simulator.md"], re.MULTILINE)
    assert rows == [(token.token, token.behaviour) for token in TEST_TOKENS]


def test_the_page_lists_the_errors() -> None:
    rows = re.findall(r"^\| `[├└ ─]*(\w+Error)` \|", PAGES["docs/reference/errors.md"], re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == {name for name in wonder_payment.__all__ if name.endswith("Error")} - {"WonderError"}


def test_each_error_that_a_page_names_exists() -> None:
    named = {error for text in PAGES.values() for error in re.findall(r"`(\w+Error)`", text)}
    assert named <= {*wonder_payment.__all__, *vars(builtins)}


def test_the_page_has_the_retry_defaults() -> None:
    policy = wonder_payment.RetryPolicy()
    for name in attrs.fields_dict(wonder_payment.RetryPolicy):
        assert f"`{name}={getattr(policy, name)}" in PAGES["docs/guides/retries.md"]


def test_the_page_lists_the_commands_and_their_options() -> None:
    commands = typer.main.get_command(app).commands
    page = PAGES["docs/reference/command-line.md"]
    assert re.findall(r"^\| `(\w+)[^`]*` \|", page, re.MULTILINE) == list(commands)
    rows = re.findall(r"^\| `(--[\w-]+)[^`]*` \| (.*?) \|", page, re.MULTILINE)
    assert {(option, command) for option, names in rows for command in re.findall(r"\w+", names)} == {
        (parameter.opts[0], name)
        for name, command in commands.items()
        for parameter in command.params
        if parameter.opts[0].startswith("--")
    }
