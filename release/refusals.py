"""What must be so before a version is published. What is not so is told in one line, with what to do about it."""

import argparse
import re
import runpy
import subprocess
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

import pypi_simple
import requests
from packaging.version import Version
from twine.exceptions import TwineException
from twine.settings import Settings

from release import contract

PROJECT = "wonder-payment"
VERSION_FILE = "wrapper/wonder_payment/_version.py"
_PUBLIC = ("pypi.org", "pypi.python.org", "testpypi.python.org")
_RELEASED = re.compile(r"v\d+\.\d+\.\d+")


class Refused(Exception):  # noqa: N818
    """The version may not be published; the text says why."""


def check(folder: Path, arguments: list[str], pip_index: str) -> Version:
    """Return the version in this folder if it may go to the index that twine's settings name; raise Refused if not."""
    version = Version(runpy.run_path(str(folder / VERSION_FILE))["__version__"])
    settings = _index(arguments)
    _refuse_dirty_tree(folder)
    _refuse_without_changelog(folder, version)
    _refuse_breaking_contract(folder, version)
    _refuse_known_version(settings, version, pip_index)
    return version


def _index(arguments: list[str]) -> Settings:
    """Return twine's settings, from the arguments, the environment and .pypirc, as `twine upload` reads them."""
    parser = argparse.ArgumentParser("nox -s publish --")
    Settings.register_argparse_arguments(parser)
    parsed = parser.parse_args([*arguments, "--non-interactive"])
    try:
        settings = Settings.from_argparse(parsed)
    except TwineException as error:
        raise Refused(" ".join(str(error).split())) from None
    url = urlsplit(settings.repository_config["repository"] or "")
    host = url.hostname or ""
    if any(host == public or host.endswith(f".{public}") for public in _PUBLIC):
        if not parsed.repository_url and parsed.repository_name == "pypi":
            raise Refused(
                "no index is named: set TWINE_REPOSITORY_URL, or name a section of .pypirc: -- --repository NAME"
            )
        raise Refused(f"{host} is the public index, which refuses this package by its classifier: name a private one.")
    return settings


def _refuse_dirty_tree(folder: Path) -> None:
    changed = _git(folder, "status", "--porcelain").splitlines()
    if changed:
        raise Refused(
            f"{len(changed)} files are not as committed, such as {changed[0][3:]}: commit them, or stash them."
        )


def _refuse_without_changelog(folder: Path, version: Version) -> None:
    heading = rf"^## \[{re.escape(str(version))}\] - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, (folder / "CHANGELOG.md").read_text(), re.MULTILINE):
        raise Refused(f"CHANGELOG.md has no entry for {version}: put `## [{version}] - YYYY-MM-DD` above what changed.")


def _refuse_breaking_contract(folder: Path, version: Version) -> None:
    tags = [tag for tag in _git(folder, "tag", "--merged", "HEAD").split() if _RELEASED.fullmatch(tag)]
    if not tags:
        return
    last = max(tags, key=Version)
    try:
        found = contract.changes(contract.at_revision(folder, last), contract.in_tree(folder))
    except LookupError as error:
        raise Refused(str(error)) from None
    breaking = [change.words for change in found if change.breaks]
    if breaking and version.major <= Version(last).major:
        raise Refused(
            f"openapi.yaml breaks callers since {last} ({breaking[0]}; `nox -s contract_diff -- {last}` tells all): "
            f"make the version {Version(last).major + 1}.0.0."
        )


def _refuse_known_version(settings: Settings, version: Version, pip_index: str) -> None:
    """Ask the index for its files; where it has no simple API, its answer to the upload is the last word."""
    upload = settings.repository_config["repository"] or ""
    beside = urlsplit(urljoin(re.sub(r"(/legacy)?/*$", "/", upload), "simple/"))
    # The machine's pip may use a mirror of the public index: that one is not asked, and does not get the password.
    pips = urlsplit(pip_index)
    url = pips if (pips.scheme, pips.hostname, pips.port) == (beside.scheme, beside.hostname, beside.port) else beside
    bare = urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2]))
    page = urljoin(bare.rstrip("/") + "/", f"{PROJECT}/")
    user = _user(settings)
    try:
        answer = _get(page, user, settings)
        if answer.status_code in {requests.codes.unauthorized, requests.codes.forbidden}:
            raise Refused(
                f"the index refuses {user[0]!r} (HTTP {answer.status_code}): check the user name and the password."
            )
        if answer.is_redirect or answer.status_code == requests.codes.not_found:
            return
        answer.raise_for_status()
        files = pypi_simple.ProjectPage.from_response(answer, PROJECT).packages
    except (requests.RequestException, pypi_simple.UnsupportedContentTypeError) as error:
        raise Refused(
            f"{page} gives no list of files ({type(error).__name__}): check the URL, or set PIP_INDEX_URL."
        ) from None
    if version in {Version(file.version) for file in files if file.version}:
        raise Refused(f"the index has {version} already: make the version in {VERSION_FILE} a new one.")


def _user(settings: Settings) -> tuple[str, str]:
    try:
        return settings.username or "", settings.password or ""
    except TwineException:
        raise Refused(
            "no user or no password: set TWINE_USERNAME and TWINE_PASSWORD, or write them to .pypirc."
        ) from None


def _get(url: str, user: tuple[str, str], settings: Settings) -> requests.Response:
    """Get a page, but not from another host: where an index sends us on to its fallback, it has nothing itself."""
    headers = {"Accept": pypi_simple.ACCEPT_ANY}
    with requests.Session() as session:
        session.auth, session.verify, session.cert = user, settings.cacert or True, settings.client_cert
        answer = session.get(url, headers=headers, timeout=30, allow_redirects=False)
        for _ in range(5):
            following = answer.next
            if following is None or urlsplit(following.url).netloc != urlsplit(url).netloc:
                break
            answer = session.get(str(following.url), headers=headers, timeout=30, allow_redirects=False)
        return answer


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Refused("git knows nothing of this folder: publish from a clone, where it is seen what is published.")
    return done.stdout
