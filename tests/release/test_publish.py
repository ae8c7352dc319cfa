"""What may not be published fails before anything is built, with one line that says what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from release.publish import PublishError, check

PASSWORD = "correct-horse"
Commit = Callable[..., Path]  # the fixture


@pytest.fixture(autouse=True)
def private_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let twine's variables name an index, and hide the machine's own settings."""
    monkeypatch.delenv("TWINE_REPOSITORY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("TWINE_REPOSITORY_URL", f"https://team:{PASSWORD}@packages.invalid/team/")


def problem(folder: Path, *arguments: str) -> str:
    with pytest.raises(PublishError) as caught:
        check(folder, list(arguments))
    message = str(caught.value)
    assert "\n" not in message
    assert PASSWORD not in message
    return message


def test_a_committed_version_with_a_changelog_entry_may_be_published(commit: Commit) -> None:
    assert str(check(commit({}), [])) == "1.2.0"


@pytest.mark.parametrize("change", ["CHANGELOG.md", "new.py"])
def test_uncommitted_changes_are_rejected(commit: Commit, change: str) -> None:
    folder = commit({})
    with (folder / change).open("a") as file:
        file.write("\n")
    assert problem(folder) == f"Uncommitted changes in 1 files, such as {change}: commit them."


def test_a_folder_without_git_is_rejected(commit: Commit) -> None:
    folder = commit({})
    (folder / ".git").rename(folder / "elsewhere")
    assert problem(folder) == "This folder is not a git repository: publish from a clone."


@pytest.mark.parametrize(
    "heading",
    ["## [Unreleased]", "## [1.2.1] - 2026-11-23", "## [1.2.0]", "## [1.2.0] - soon", "## [1x2.0] - 2026-11-23"],
)
def test_a_version_without_a_dated_changelog_entry_is_rejected(commit: Commit, heading: str) -> None:
    message = problem(commit({"CHANGELOG.md": f"# Changelog\n\n{heading}\n"}))
    assert message == "CHANGELOG.md has no entry for 1.2.0: add `## [1.2.0] - YYYY-MM-DD`."


def test_a_tagged_version_is_rejected(commit: Commit) -> None:
    assert problem(commit({}, tag="v1.2.0")).startswith("1.2.0 is tagged as published")


OLD, NARROWER, WIDER = "enum: [en, zh-HK, zh-CN]", "enum: [en]", "enum: [en, zh-HK, zh-CN, fr]"


def with_languages(folder: Path, languages: str) -> dict[str, str]:
    contract = (folder / "openapi.yaml").read_text()
    assert OLD in contract
    return {"openapi.yaml": contract.replace(OLD, languages)}


@pytest.mark.parametrize("tag", ["v1.0.0", "v1.1.9"])
def test_a_breaking_contract_needs_a_new_major_version(commit: Commit, tag: str) -> None:
    folder = commit({}, tag=tag)
    message = problem(commit(with_languages(folder, NARROWER)))
    assert message.startswith(f"openapi.yaml breaks callers since {tag} (")
    assert message.endswith("make the version 2.0.0.")


@pytest.mark.parametrize(("tag", "languages"), [("v0.9.0", NARROWER), ("v1.1.0", WIDER)])
def test_a_new_major_version_may_break_callers_and_any_version_may_add_to_the_contract(
    commit: Commit, tag: str, languages: str
) -> None:
    folder = commit({}, tag=tag)
    check(commit(with_languages(folder, languages)), [])


def test_the_contract_is_compared_with_the_highest_release_tag(commit: Commit) -> None:
    commit({}, tag="v1.9.0")
    folder = commit({}, tag="v1.10.0")
    commit(with_languages(folder, NARROWER), tag="v1.11.0rc1")
    assert "since v1.10.0 " in problem(commit({}, tag="v2"))
    check(commit({}, tag="v1.11.0"), [])


def test_an_index_must_be_named(commit: Commit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWINE_REPOSITORY_URL")
    message = problem(commit({}))
    assert message.startswith("upload.pypi.org is a public index. Name yours: set TWINE_REPOSITORY_URL")


@pytest.mark.parametrize("host", ["upload.pypi.org", "test.pypi.org", "pypi.org"])
def test_a_public_index_is_rejected(commit: Commit, host: str) -> None:
    assert problem(commit({}), "--repository-url", f"https://{host}/legacy/").startswith(f"{host} is a public index")


def test_a_section_of_pypirc_names_an_index(commit: Commit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWINE_REPOSITORY_URL")
    (tmp_path / ".pypirc").write_text(
        "[distutils]\nindex-servers = team\n\n[team]\nrepository = https://packages.invalid/\n"
    )
    check(commit({}), ["--repository", "team"])
    assert "Missing 'nope' section" in problem(commit({}), "--repository", "nope")
