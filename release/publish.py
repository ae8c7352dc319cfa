"""Check that this version may be published, build it, and upload it with twine.

The index itself rejects a wrong password, or a file that it already has. PUBLISH_ARGUMENTS has more arguments for
twine: it is a variable because nox prints a command's arguments, and one may be a password.
"""

import argparse
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from packaging.version import Version
from twine.exceptions import TwineException
from twine.settings import Settings

from release import build, contract

VERSION_FILE = "wrapper/wonder_payment/_version.py"
_PUBLIC = ("pypi.org", "pypi.python.org", "testpypi.python.org")
_RELEASE_TAG = re.compile(r"v\d+\.\d+\.\d+")


class PublishError(Exception):
    """The version may not be published; the message says why."""


def check(folder: Path, arguments: list[str]) -> Version:
    """Return the version in this folder.

    Args:
        folder: The working tree.
        arguments: The arguments for ``twine upload``.

    Raises:
        PublishError: It may not be published.
    """
    version = Version(runpy.run_path(str(folder / VERSION_FILE))["__version__"])
    _check_index(arguments)
    _check_tree(folder)
    _check_changelog(folder, version)
    tags = [tag for tag in _git(folder, "tag", "--merged", "HEAD").split() if _RELEASE_TAG.fullmatch(tag)]
    if f"v{version}" in tags:
        raise PublishError(f"{version} is tagged as published: change the version in {VERSION_FILE}.")
    if tags:
        _check_contract(folder, version, max(tags, key=Version))
    return version


def _check_index(arguments: list[str]) -> None:
    """Check the index that twine would use. PyPI rejects the package by its classifier, but only after the upload."""
    parser = argparse.ArgumentParser("nox -s publish --")
    Settings.register_argparse_arguments(parser)
    try:
        config = Settings.from_argparse(parser.parse_args([*arguments, "--non-interactive"])).repository_config
    except TwineException as error:
        raise PublishError(" ".join(str(error).split())) from None
    host = urlsplit(config["repository"] or "").hostname or ""
    if any(host == public or host.endswith(f".{public}") for public in _PUBLIC):
        raise PublishError(
            f"{host} is a public index. Name yours: set TWINE_REPOSITORY_URL, or use a section of .pypirc with "
            "-- --repository NAME."
        )


def _check_tree(folder: Path) -> None:
    changed = _git(folder, "status", "--porcelain").splitlines()
    if changed:
        raise PublishError(f"Uncommitted changes in {len(changed)} files, such as {changed[0][3:]}: commit them.")


def _check_changelog(folder: Path, version: Version) -> None:
    heading = rf"^## \[{re.escape(str(version))}\] - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, (folder / "CHANGELOG.md").read_text(), re.MULTILINE):
        raise PublishError(f"CHANGELOG.md has no entry for {version}: add `## [{version}] - YYYY-MM-DD`.")


def _check_contract(folder: Path, version: Version, last: str) -> None:
    found = contract.changes(contract.at_revision(folder, last), contract.in_tree(folder))
    breaking = [change.words for change in found if change.breaks]
    if breaking and version.major <= Version(last).major:
        raise PublishError(
            f"openapi.yaml breaks callers since {last} ({breaking[0]}; `nox -s contract_diff -- {last}` lists all): "
            f"make the version {Version(last).major + 1}.0.0."
        )


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise PublishError("This folder is not a git repository: publish from a clone.")
    return done.stdout


def main() -> None:
    """Publish, or exit with one line that says why not."""
    arguments = shlex.split(os.environ.get("PUBLISH_ARGUMENTS", ""))
    try:
        version = check(Path.cwd(), arguments)
    except (PublishError, LookupError) as error:
        sys.exit(f"Not published: {error}")
    build.main()
    files = [path for pattern in ("*.tar.gz", "*.whl") for path in build.DIST.glob(pattern)]
    build.run("twine", "upload", "--non-interactive", "--disable-progress-bar", *arguments, *files)
    print(f"Published. Now tag it: git tag v{version} && git push origin v{version}")


if __name__ == "__main__":
    main()
