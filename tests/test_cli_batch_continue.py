"""`wonder-payment batch --output`: what is checked again, and what the file has then."""

import json
import stat
from pathlib import Path

import commands
import pytest
from commands import ALIPAY, CARD_NUMBER, FAILED, PENDING, VERIFIED, add_verified, checked, lines, summary, write
from conftest import TOKEN as UNKNOWN
from typer.testing import Result
from wonder_payment.simulator import Fault, SimulatedGateway


@pytest.fixture
def run(gateway: SimulatedGateway, source: Path, output: Path) -> "Run":
    return Run(gateway, source, output)


class Run:
    """Runs the same command, with more options."""

    def __init__(self, gateway: SimulatedGateway, source: Path, output: Path) -> None:
        self._arguments = gateway, "batch", source, "--output", output
        self._gateway, self._output = gateway, output

    def __call__(self, *options: object) -> Result:
        return commands.run(*self._arguments, *options)

    @property
    def states(self) -> dict[str, str]:
        """The state or the type of error of each token, from the only line that it has."""
        written = lines(self._output)
        states = {line["token_id"]: line.get("state") or line["error"]["type"] for line in written}
        assert len(states) == len(written)
        return states


def line_of(token: str, state: str) -> str:
    return json.dumps({"token_id": token, "state": state}) + "\n"


def test_pending_tokens_are_checked_again_on_request_only(gateway: SimulatedGateway, source: Path, run: Run) -> None:
    later = gateway.add_token(states=["pending", "success"])
    write(source, [VERIFIED, later, PENDING, FAILED])
    assert run().stderr == summary(1, 2, 1, 0) + "\n"
    before = len(gateway.requests)
    assert run().stderr == summary(1, 2, 1, 0) + "\n"
    assert len(gateway.requests) == before
    for _ in range(2):
        assert run("--recheck", "pending").stderr == summary(2, 1, 1, 0) + "\n"
        assert run.states == {VERIFIED: "success", later: "success", PENDING: "pending", FAILED: "failed"}
    assert sorted(checked(gateway)[before:]) == sorted([later, PENDING, PENDING])


def test_an_unknown_state_counts_as_pending(gateway: SimulatedGateway, source: Path, run: Run) -> None:
    reviewing = gateway.add_token(states=["reviewing", "failed"])
    write(source, [reviewing])
    assert run().stderr == summary(0, 1, 0, 0) + "\n"
    assert run("--recheck", "pending").stderr == summary(0, 0, 1, 0) + "\n"


def test_a_first_run_may_recheck(source: Path, run: Run) -> None:
    write(source, [VERIFIED])
    assert run("--recheck", "pending").exit_code == 0


def test_pending_tokens_that_the_source_does_not_have_keep_their_lines(source: Path, run: Run) -> None:
    write(source, [PENDING])
    run()
    write(source, [VERIFIED])
    assert run("--recheck", "pending").stderr == summary(1, 1, 0, 0) + "\n"
    assert run.states == {PENDING: "pending", VERIFIED: "success"}


def test_an_error_replaces_the_line_of_a_pending_token_and_is_retried(
    gateway: SimulatedGateway, source: Path, run: Run
) -> None:
    write(source, [PENDING])
    run()
    gateway.inject(Fault(status=404, times=1), token=PENDING)
    assert run("--recheck", "pending").exit_code == 1
    assert run.states == {PENDING: "NotFoundError"}
    assert run().exit_code == 0
    assert run.states == {PENDING: "pending"}


@pytest.mark.parametrize(
    "options",
    [["--recheck", "pending"], ["--recheck", "failed", "--output", "results"], ["--recheck", ""]],
    ids=["without an output", "another state", "empty"],
)
def test_a_wrong_recheck_is_reported(gateway: SimulatedGateway, source: Path, options: list[str]) -> None:
    write(source, [VERIFIED])
    result = commands.run(gateway, "batch", source, *options)
    assert (result.exit_code, gateway.requests) == (2, [])
    assert "--recheck" in result.stderr


def test_what_is_not_a_uuid_is_reported_once_with_its_line(gateway: SimulatedGateway, source: Path, run: Run) -> None:
    write(source, [VERIFIED, "", CARD_NUMBER, "x", "x"])
    for _ in range(2):
        result = run()
        advice = "Lines without a UUID: 3. Correct them in the source. The output has their line numbers."
        assert (result.exit_code, result.stderr) == (1, f"{summary(1, 0, 0, 3)} {advice}\n")
        errors = [line["error"] for line in lines(source.with_name("results.jsonl")) if "error" in line]
        assert [(error["line"], error["type"]) for error in errors] == [(at, "InvalidTokenError") for at in (3, 4, 5)]
        assert [error["message"] for error in errors] == [
            f"Line {at} does not contain a UUID. Correct it in the source." for at in (3, 4, 5)
        ]
    assert checked(gateway) == [VERIFIED]


@pytest.mark.parametrize(
    "changed",
    [[VERIFIED, ALIPAY], [ALIPAY, VERIFIED], [ALIPAY], [VERIFIED, "", ALIPAY]],
    ids=["replaced by a new token", "replaced by a known token", "removed", "moved"],
)
def test_a_corrected_line_is_no_error_any_more(source: Path, run: Run, changed: list[str]) -> None:
    write(source, [VERIFIED, "x"])
    assert run().exit_code == 1
    write(source, changed)
    result = run()
    assert (result.exit_code, result.stderr) == (0, summary(2, 0, 0, 0) + "\n")
    assert run.states == {VERIFIED: "success", ALIPAY: "success"}


def test_the_line_of_a_csv_row_is_its_line_in_the_file(source: Path, output: Path, run: Run) -> None:
    source.write_text(f'\ntoken,note\n{VERIFIED},"two\nlines"\nx,\n\ny,\n')
    run()
    errors = {line["token_id"]: line["error"]["line"] for line in lines(output) if "error" in line}
    assert errors == {"x": 5, "y": 7}


@pytest.mark.parametrize(
    ("written", "state"),
    [
        (["success", "success"], "success"),
        (["pending", "pending"], "pending"),
        (["pending", "success"], "success"),
        (["pending", "success", "pending"], "success"),
    ],
    ids=" ".join,
)
def test_a_second_line_that_a_killed_run_left_is_removed(
    gateway: SimulatedGateway, source: Path, output: Path, run: Run, written: list[str], state: str
) -> None:
    write(source, [VERIFIED])
    output.write_text("".join(line_of(VERIFIED, one) for one in written))
    assert run().exit_code == 0
    assert run.states == {VERIFIED: state}
    assert gateway.requests == []


def test_a_line_of_an_error_after_a_pending_one_is_retried(source: Path, output: Path, run: Run) -> None:
    write(source, [VERIFIED])
    output.write_text(line_of(VERIFIED, "pending") + json.dumps({"token_id": VERIFIED, "error": {}}) + "\n")
    assert run().stderr == summary(1, 0, 0, 0) + "\n"
    assert run.states == {VERIFIED: "success"}


def test_a_report_without_a_line_number_is_replaced(source: Path, output: Path, run: Run) -> None:
    write(source, ["x"])
    output.write_text(json.dumps({"token_id": "x", "error": {"type": "InvalidTokenError"}}) + "\n")
    run()
    assert [line["error"]["line"] for line in lines(output)] == [1]


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_the_file_keeps_its_mode_and_its_name(
    gateway: SimulatedGateway, source: Path, output: Path, run: Run, mode: int
) -> None:
    tokens = add_verified(gateway, 3)
    gateway.inject(Fault(status=404, times=1), token=tokens[0])
    write(source, tokens)
    target = output.with_name("elsewhere.jsonl")
    target.touch()
    output.symlink_to(target)
    run()
    target.chmod(mode)
    run()
    assert sorted(run.states) == sorted(tokens)
    assert (output.is_symlink(), stat.S_IMODE(target.stat().st_mode)) == (True, mode)
    assert sorted(path.name for path in output.parent.iterdir()) == ["elsewhere.jsonl", "results.jsonl", "tokens.txt"]


def test_a_file_that_cannot_be_replaced_is_left_as_it_is(
    gateway: SimulatedGateway, source: Path, output: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, [UNKNOWN])
    run()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fail)
        assert isinstance(run().exception, OSError)  # main() reports it in one line
    assert [line["token_id"] for line in lines(output)] == [UNKNOWN, UNKNOWN]
    assert len(list(output.parent.iterdir())) == 2
    run()
    assert len(lines(output)) == 1
    assert len(gateway.requests) == 3
