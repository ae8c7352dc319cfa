"""What the pages say is so: each code block runs, each table is the code's, and what is named is there."""

import ast
import builtins
import configparser
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Self

import pytest
import typer
import wonder_payment
import yaml
from conftest import Clock
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from wonder_payment.cli import app
from wonder_payment.simulator import WELL_KNOWN

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"))}
WITH_BLOCKS = sorted(name for name, text in PAGES.items() if "```" in text)

INFO = re.compile(r'(?P<kind>\w+)(?: title="(?P<title>[\w.]+)")?')
RUN_BY = re.compile(r"<!-- run by: (?:nox -s (?P<session>\w+)|(?P<script>\S+)) -->\s*$")
NAMED = re.compile(r"(?:nox|noxfile\.py) -s (\w+)")
# Not the form of one line, which ruff takes for Python and formats.
SNIPPET = re.compile(r"--8<--\n((?:\S+\n)+)--8<--\n")

SESSIONS = {
    function.name
    for function in ast.parse((ROOT / "noxfile.py").read_text()).body
    if isinstance(function, ast.FunctionDef)
    if any("session" in ast.unparse(decorator) for decorator in function.decorator_list)
}

LONGEST = 60.0  # seconds for the commands of a block


def _blocks(document: Document) -> Iterator[Region]:
    """Find every fenced block, whatever its first line says."""
    yield from RawFencedCodeBlockLexer(re.compile(r"(?P<info>[^\n]*)\n"))(document)


class Shell:
    """One bash for a page, so that what a block exports or starts is there in the next one.

    Blocks stop at the first command that fails, and have no stdin.
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
        timer = Timer(LONGEST, self._stop)
        timer.start()
        with suppress(BrokenPipeError):  # it is gone, which the answer shows
            self._bash.stdin.write(f"{script}\n")
            self._bash.stdin.flush()
        answer = self._bash.stdout.readline()
        timer.cancel()
        assert answer, f"a command failed, or took too long:\n{source}\n{self._log.read_text()}"

    def _stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)  # with all that it has started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()
        with self._bash:
            pass


class Page:
    """Runs the blocks of a page in their order, in a folder of their own.

    A block with a title is a file that its reader saves. Python blocks share their names; those that have tests are
    files for pytest, which runs them at the page's end.
    """

    def __init__(self, folder: Path, shell: Shell) -> None:
        self.folder = folder
        self.saved: dict[str, str] = {}
        self.used: list[str] = []
        self._shell = shell
        self._python = PythonEvaluator()
        self._kinds: dict[str, Callable[[str], object]] = {
            "ini": lambda text: configparser.ConfigParser(interpolation=None).read_string(text),
            "json": json.loads,
            "sh": shell.run,
            "text": str,  # output: nothing to run
            "toml": tomllib.loads,
            "yaml": lambda text: list(yaml.safe_load_all(text)),
        }

    def run(self, example: Example) -> None:
        """Do with a block what its kind asks for."""
        source = example.region.lexemes["source"]
        info = INFO.fullmatch(example.region.lexemes["info"])
        assert info, f"line {example.line}: a block of no kind: {example.region.lexemes['info']}"
        kind, title = info["kind"], info["title"]
        if runner := RUN_BY.search(example.document.text[: example.region.start]):
            _check_runner(runner, source)
        elif snippet := SNIPPET.fullmatch(source):
            _check_files(snippet[1].split())
        elif title:
            self.saved[title] = source
            (self.folder / title).write_text(source)
            compile(source, title, "exec") if kind == "python" else self._kinds[kind](source)
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
        """Run the tests of the page, and see that all its files were of use."""
        for title in self.saved:
            users = [*self.used, *(text for name, text in self.saved.items() if name != title)]
            is_run = title.startswith(("test_", "conftest.")) or any(Path(title).stem in text for text in users)
            assert is_run, f"nothing runs {title}"
        if list(self.folder.glob("test_*.py")) and not any("-m pytest" in text for text in self.used):
            self._shell.run("python -W error -m pytest -q -p no:cacheprovider")


def _check_runner(runner: re.Match[str], source: str) -> None:
    if runner["session"]:
        assert runner["session"] in SESSIONS
        return
    # A script runs what stands in the block, word for word; what names a session is run by that session.
    commands = {command for line in source.splitlines() if (command := line.split("#")[0].strip())}
    sessions = {command for command in commands if NAMED.search(command)}
    assert commands - sessions <= set((ROOT / runner["script"]).read_text().splitlines())


def _check_files(names: list[str]) -> None:
    for file in map(ROOT.joinpath, names):
        assert file.exists()
        has_tests = any(file.stem in test.read_text() for test in ROOT.glob("tests/**/*.py"))
        assert file.is_relative_to(ROOT / "tests") or has_tests, f"nothing runs {file.name}"


@pytest.mark.usefixtures("in_environment")
@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_each_code_block_of_a_page_runs(
    name: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # The commands of this environment, and nothing of whoever runs the tests.
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = dict(os.environ) | {"HOME": str(tmp_path), "PATH": commands, "PYTHONDONTWRITEBYTECODE": "1"}
    document = Document.parse(str(ROOT / name), _blocks)
    document.namespace["__name__"] = "__main__"
    with Shell(folder, tmp_path / "log", environ) as shell:
        page = Page(folder, shell)
        for example in document:
            page.run(example)
        page.finish()
    assert sum(clock.slept) < LONGEST


def test_a_session_that_a_page_names_is_there() -> None:
    named = {
        (name, session) for name, text in PAGES.items() if name != "CHANGELOG.md" for session in NAMED.findall(text)
    }
    assert len(named) > 5
    assert {(name, session) for name, session in named if session not in SESSIONS} == set()


def test_a_link_of_the_front_pages_leads_to_a_file() -> None:
    links = {
        (name, link.split("#")[0])
        for name, text in PAGES.items()
        if "/" not in name
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text)
    }
    assert len(links) > 5
    assert {(name, link) for name, link in links if not (ROOT / link).exists()} == set()


def test_the_well_known_tokens_are_the_pages() -> None:
    rows = re.findall(r"^\| `(0{8}-[0-9-]+)` \| (.*) \|$", PAGES["docs/reference/simulator.md"], re.MULTILINE)
    assert rows == [(known.token, known.behaviour) for known in WELL_KNOWN]


def test_the_errors_are_the_pages() -> None:
    rows = re.findall(r"^\| `[├└ ─]*(\w+Error)` \|", PAGES["docs/reference/errors.md"], re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == {name for name in wonder_payment.__all__ if name.endswith("Error")} - {"WonderError"}


def test_an_error_that_a_page_names_is_there() -> None:
    named = {error for text in PAGES.values() for error in re.findall(r"`(\w+Error)`", text)}
    assert named <= {*wonder_payment.__all__, *vars(builtins)}


def test_the_retry_defaults_are_the_pages() -> None:
    policy = wonder_payment.RetryPolicy()
    for name in ("max_attempts", "max_elapsed", "backoff_initial", "backoff_max", "jitter"):
        assert f"`{name}={getattr(policy, name)}" in PAGES["docs/how-to/retries-and-timeouts.md"]


def test_the_commands_and_their_options_are_the_pages() -> None:
    commands = typer.main.get_command(app).commands
    page = PAGES["docs/reference/command-line.md"]
    assert re.findall(r"^\| `(\w+)[^`]*` \|", page, re.MULTILINE) == list(commands)
    rows = re.findall(r"^\| `(--[\w-]+)[^`]*` \| (.*?) \|", page, re.MULTILINE)
    assert {(option, command) for option, of in rows for command in re.findall(r"\w+", of)} == {
        (parameter.opts[0], name)
        for name, command in commands.items()
        for parameter in command.params
        if parameter.opts[0].startswith("--")
    }
