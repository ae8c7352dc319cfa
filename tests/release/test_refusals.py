"""What is not fit to be published is refused before anything is built, in one line that says what to do."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from release.refusals import Refused, check

PASSWORD = "correct-horse"
LOGIN = "Basic " + base64.b64encode(f"team:{PASSWORD}".encode()).decode()
PAGE = "/team/simple/wonder-payment/"
Commit = Callable[..., Path]  # the fixture
JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html"


def listed(*versions: str) -> tuple[int, dict[str, str], str]:
    files = [
        {"filename": f"wonder_payment-{version}-py3-none-any.whl", "url": "a", "hashes": {}} for version in versions
    ]
    body = {"meta": {"api-version": "1.0"}, "name": "wonder-payment", "files": files}
    return 200, {"Content-Type": JSON}, json.dumps(body)


def linked(*files: str) -> tuple[int, dict[str, str], str]:
    return 200, {"Content-Type": HTML}, "".join(f'<a href="../{file}">{file}</a>' for file in files)


NOTHING_THERE = (404, {}, "")


class Index(ThreadingHTTPServer):
    """A package index that wants a password, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, tuple[int, dict[str, str], str]] = {PAGE: NOTHING_THERE}
        self.asked: list[tuple[str, str | None]] = []

    @property
    def upload_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/team/"


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        login = self.headers["Authorization"]
        self.server.asked.append((self.path, login))
        status, headers, body = self.server.pages[self.path] if login == LOGIN else (401, {}, "")
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@contextmanager
def served() -> Iterator[Index]:
    with Index() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that twine's variables name, and nothing else: no .pypirc, no keyring."""
    for name in ("TWINE_REPOSITORY", "TWINE_CERT", "TWINE_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    with served() as server:
        monkeypatch.setenv("TWINE_REPOSITORY_URL", server.upload_url)
        monkeypatch.setenv("TWINE_USERNAME", "team")
        monkeypatch.setenv("TWINE_PASSWORD", PASSWORD)
        yield server


def refusal(folder: Path, *arguments: str, pip_index: str = "") -> str:
    with pytest.raises(Refused) as caught:
        check(folder, list(arguments), pip_index)
    told = str(caught.value)
    assert "\n" not in told
    assert PASSWORD not in told
    return told


def test_a_new_version_with_its_changelog_is_not_refused(commit: Commit, index: Index) -> None:
    assert str(check(commit({}), [], "")) == "1.2.0"
    assert index.asked == [(PAGE, LOGIN)]


@pytest.mark.parametrize("change", ["CHANGELOG.md", "new.py"])
def test_a_dirty_tree_is_refused(commit: Commit, index: Index, change: str) -> None:
    folder = commit({})
    with (folder / change).open("a") as file:
        file.write("\n")
    assert refusal(folder) == f"1 files are not as committed, such as {change}: commit them, or stash them."
    assert index.asked == []


def test_a_folder_that_git_does_not_know_is_refused(commit: Commit, index: Index) -> None:
    folder = commit({})
    (folder / ".git").rename(folder / "elsewhere")
    assert refusal(folder).startswith("git knows nothing of this folder")
    assert index.asked == []


@pytest.mark.parametrize(
    "heading",
    ["## [Unreleased]", "## [1.2.1] - 2026-11-23", "## [1.2.0]", "## [1.2.0] - soon", "## [1x2.0] - 2026-11-23"],
)
def test_a_version_without_a_dated_changelog_entry_is_refused(commit: Commit, index: Index, heading: str) -> None:
    told = refusal(commit({"CHANGELOG.md": f"# Changelog\n\n{heading}\n"}))
    assert told == "CHANGELOG.md has no entry for 1.2.0: put `## [1.2.0] - YYYY-MM-DD` above what changed."
    assert index.asked == []


BROKEN = ("enum: [en, zh-HK, zh-CN]", "enum: [en]")


def broken(folder: Path) -> dict[str, str]:
    contract = (folder / "openapi.yaml").read_text()
    assert BROKEN[0] in contract
    return {"openapi.yaml": contract.replace(*BROKEN)}


@pytest.mark.parametrize("tag", ["v1.0.0", "v1.1.9"])
def test_a_contract_that_breaks_callers_is_refused_without_a_new_major_version(
    commit: Commit, index: Index, tag: str
) -> None:
    folder = commit({}, tag=tag)
    assert refusal(commit(broken(folder))) == (
        f'openapi.yaml breaks callers since {tag} (the request\'s Language takes "zh-HK" no longer; '
        f"`nox -s contract_diff -- {tag}` tells all): make the version 2.0.0."
    )
    assert index.asked == []


def test_the_contract_is_compared_with_the_highest_version_and_with_no_other_tag(commit: Commit, index: Index) -> None:
    commit({}, tag="v1.9.0")
    folder = commit({}, tag="v1.10.0")
    commit(broken(folder), tag="v1.11.0rc1")
    assert "since v1.10.0 " in refusal(commit({}, tag="v2"))
    check(commit({}, tag="v1.11.0"), [], "")
    assert len(index.asked) == 1


@pytest.mark.usefixtures("index")
def test_a_contract_that_breaks_callers_goes_out_with_a_new_major_version(commit: Commit) -> None:
    folder = commit({}, tag="v0.9.0")
    check(commit(broken(folder)), [], "")


@pytest.mark.usefixtures("index")
def test_a_contract_that_only_grew_goes_out_with_any_version(commit: Commit) -> None:
    folder = commit({}, tag="v1.1.0")
    text = (folder / "openapi.yaml").read_text()
    check(commit({"openapi.yaml": text.replace(BROKEN[0], "enum: [en, zh-HK, zh-CN, fr]")}), [], "")


@pytest.mark.parametrize(
    "page",
    [
        listed("1.1.0", "1.2.0"),
        linked("wonder_payment-1.2.0-py3-none-any.whl"),
        linked("wonder_payment-1.2.tar.gz"),
    ],
    ids=["json", "html", "another spelling"],
)
def test_a_version_that_the_index_has_is_refused(
    commit: Commit, index: Index, page: tuple[int, dict[str, str], str]
) -> None:
    index.pages[PAGE] = page
    told = refusal(commit({}))
    assert told == "the index has 1.2.0 already: make the version in wrapper/wonder_payment/_version.py a new one."


@pytest.mark.parametrize("page", [listed("1.1.0", "1.2.0rc1", "1.2.0.post1"), linked("other.zip", "odd-file")])
def test_other_versions_are_no_obstacle(commit: Commit, index: Index, page: tuple[int, dict[str, str], str]) -> None:
    index.pages[PAGE] = page
    check(commit({}), [], "")


def test_an_index_that_sends_on_within_itself_is_followed(commit: Commit, index: Index) -> None:
    index.pages[PAGE] = (301, {"Location": "/other/"}, "")
    index.pages["/other/"] = listed("1.2.0")
    assert refusal(commit({})).startswith("the index has 1.2.0 already")


def test_an_index_that_sends_on_to_its_fallback_has_nothing_and_the_fallback_hears_nothing(
    commit: Commit, index: Index
) -> None:
    with served() as fallback:
        index.pages[PAGE] = (302, {"Location": fallback.upload_url}, "")
        check(commit({}), [], "")
        assert fallback.asked == []


def test_pips_own_address_of_the_index_is_the_one_that_is_asked(commit: Commit, index: Index) -> None:
    index.pages["/pip/wonder-payment/"] = listed("1.2.0")
    pip_index = f"http://reader:other-password@127.0.0.1:{index.server_port}/pip"
    assert refusal(commit({}), pip_index=pip_index).startswith("the index has 1.2.0 already")
    assert index.asked == [("/pip/wonder-payment/", LOGIN)]


def test_another_index_of_pips_is_not_asked_and_gets_no_password(commit: Commit, index: Index) -> None:
    with served() as mirror:
        check(commit({}), [], f"{mirror.upload_url}simple/")
        assert mirror.asked == []
    assert index.asked == [(PAGE, LOGIN)]


def test_a_wrong_password_is_refused(commit: Commit, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINE_PASSWORD", "wrong-horse")
    told = refusal(commit({}))
    assert told == "the index refuses 'team' (HTTP 401): check the user name and the password."
    assert len(index.asked) == 1


@pytest.mark.usefixtures("index")
def test_no_password_is_refused(commit: Commit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWINE_PASSWORD")
    assert refusal(commit({})).startswith("no user or no password: set TWINE_USERNAME and TWINE_PASSWORD")


def test_an_index_that_answers_no_list_is_refused(commit: Commit, index: Index) -> None:
    index.pages[PAGE] = (500, {}, "")
    page = f"{index.upload_url}simple/wonder-payment/"
    assert refusal(commit({})) == f"{page} gives no list of files (HTTPError): check the URL, or set PIP_INDEX_URL."


def test_an_index_that_is_not_there_is_refused(commit: Commit, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as gone:
        monkeypatch.setenv("TWINE_REPOSITORY_URL", gone.upload_url)
    assert "gives no list of files (ConnectionError)" in refusal(commit({}))
    assert index.asked == []


def test_without_an_index_it_is_refused(commit: Commit, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWINE_REPOSITORY_URL")
    assert refusal(commit({})).startswith("no index is named: set TWINE_REPOSITORY_URL")
    assert index.asked == []


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("host", ["upload.pypi.org", "test.pypi.org", "pypi.org"])
def test_the_public_index_is_refused(commit: Commit, host: str) -> None:
    assert refusal(commit({}), "--repository-url", f"https://{host}/legacy/").startswith(f"{host} is the public index")


def test_a_password_in_the_url_is_taken_and_not_shown(commit: Commit, index: Index) -> None:
    index.pages[PAGE] = (500, {}, "")
    url = index.upload_url.replace("//", f"//team:{PASSWORD}@")
    assert "gives no list of files" in refusal(commit({}), "--repository-url", url)
    assert index.asked == [(PAGE, LOGIN)]


def test_a_section_of_pypirc_names_an_index(
    commit: Commit, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TWINE_REPOSITORY_URL", "TWINE_USERNAME", "TWINE_PASSWORD"):
        monkeypatch.delenv(name)
    section = f"[team]\nrepository = {index.upload_url}\nusername = team\npassword = {PASSWORD}\n"
    (tmp_path / ".pypirc").write_text(f"[distutils]\nindex-servers = team\n\n{section}")
    check(commit({}), ["--repository", "team"], "")
    assert index.asked == [(PAGE, LOGIN)]
    assert "Missing 'nope' section" in refusal(commit({}), "--repository", "nope")
