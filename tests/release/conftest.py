"""A git repository with the files that a release checks."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CONTRACT = (Path(__file__).parents[2] / "openapi.yaml").read_text()
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-23\n\n### Added\n\n- Something.\n"

Commit = Callable[..., Path]


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commit:
    """Commit files, given by path, in a repository of this test, and tag the commit."""
    folder = tmp_path / "repository"
    for name in [name for name in os.environ if name.startswith("GIT_")]:  # a git hook sets them to its own repository
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.invalid")

    def git(*arguments: str) -> None:
        command = ["git", "-C", str(folder), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def commit(files: dict[str, str], tag: str = "") -> Path:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        git("init", "--quiet")
        git("add", ".")
        git("commit", "--quiet", "--allow-empty", "--message", "a commit")
        if tag:
            git("tag", tag)
        return folder

    commit(
        {
            "CHANGELOG.md": CHANGELOG,
            "openapi.yaml": CONTRACT,
            "wrapper/wonder_payment/_version.py": '__version__ = "1.2.0"\n',
        }
    )
    return commit
