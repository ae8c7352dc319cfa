"""The git hooks and CI run the same commands."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
HOOKS = {
    hook["stages"][0]: hook["entry"]
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]
}


def test_ci_runs_the_pre_push_hook_and_then_the_full_run() -> None:
    assert (ROOT / ".ci/run").read_text().splitlines()[-2:] == [HOOKS["pre-push"], f"{HOOKS['pre-push']} -t full"]


def test_the_pre_commit_hook_runs_some_of_the_sessions_of_the_pre_push_hook() -> None:
    defaults = re.search(r"^nox\.options\.sessions = \[([^\]]*)\]", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    assert defaults
    command, sessions = HOOKS["pre-commit"].split(" --sessions ")
    assert command == HOOKS["pre-push"]
    assert set(sessions.split()) < set(re.findall(r'"(\w+)"', defaults[1]))
