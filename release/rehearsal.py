"""Publish this working tree to an index on this machine, install it from there, and run it.

The index is a pypiserver on loopback with a password. A copy of the working tree is published, committed or not; if
CHANGELOG.md has no entry for the version yet, the copy gets one.
"""

import os
import runpy
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from tempfile import TemporaryDirectory
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pypiserver
from passlib.apache import HtpasswdFile

from release.build import python_of

USER = "rehearsal"
Command = list[str | Path]
ROOT = Path.cwd()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""


def main() -> None:
    """Publish, install and run; the first step that fails ends it."""
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[variable]  # a git hook sets them to its own repository
    password = secrets.token_urlsafe(24)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with _index(folder, password, _pip_settings()["PIP_INDEX_URL"]) as host:
            copy = _committed_copy(folder / "copy")
            _publish(copy, host, password)
            pip = _pip_settings() | {"PIP_INDEX_URL": f"http://{USER}:{password}@{host}/simple/"}
            empty = folder / "service"
            empty.mkdir()
            _install(empty / "bare", "wonder-payment", pip)
            version = "import wonder_payment; wonder_payment.WonderClient; print(wonder_payment.__version__)"
            _run([python_of(empty / "bare"), "-c", version], empty)
            _install(empty / "all", "wonder-payment[cli,simulator]", pip)
            _run([python_of(empty / "all").with_name("wonder-payment"), "demo"], empty)


@contextmanager
def _index(folder: Path, password: str, fallback: str) -> Iterator[str]:
    """Run an index that redirects to the fallback for other packages, and yield its host and port."""
    packages, passwords = folder / "packages", folder / "htpasswd"
    packages.mkdir()
    users = HtpasswdFile(str(passwords), new=True, default_scheme="apr_md5_crypt")  # the fastest of passlib's
    users.set_password(USER, password)
    users.save()
    app = pypiserver.app(
        roots=[packages],
        password_file=str(passwords),
        authenticate=["update", "download", "list"],
        fallback_url=fallback,
    )
    with make_server("127.0.0.1", 0, app, _Server, _Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _committed_copy(copy: Path) -> Path:
    """Copy the files that git would commit, and commit them in a new repository."""
    files = _output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT).split("\0")
    for path in (path for path in files if (ROOT / path).is_file()):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    version = runpy.run_path(str(copy / "wrapper/wonder_payment/_version.py"))["__version__"]
    changelog = copy / "CHANGELOG.md"
    if f"## [{version}]" not in changelog.read_text():
        print(f"The CHANGELOG has no entry for {version} yet; the copy gets one.")
        changelog.write_text(f"{changelog.read_text()}\n## [{version}] - 2000-01-01\n")
    settings = ["user.name=Rehearsal", "user.email=rehearsal@example.invalid", "commit.gpgsign=false"]
    given = [option for setting in settings for option in ("-c", setting)]
    for step in (["init", "--quiet"], ["add", "."], [*given, "commit", "--quiet", "--no-verify", "-m", "Rehearse"]):
        _output(["git", *step], copy)
    return copy


def _publish(copy: Path, host: str, password: str) -> None:
    """Run the session; fail if it fails or prints the password."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TWINE_")}
    environ |= {"TWINE_REPOSITORY_URL": f"http://{host}/", "TWINE_USERNAME": USER, "TWINE_PASSWORD": password}
    # In the environment of a real `nox -s publish`, which is reused.
    nox: Command = ["nox", "--noxfile", copy / "noxfile.py", "--envdir", ROOT / ".nox", "--reuse-existing-virtualenvs"]
    command: Command = [sys.executable, "-m", *nox, "--session", "publish"]
    done = subprocess.run(
        command, cwd=copy, env=environ, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if password in done.stdout:
        sys.exit("The session printed the password.")
    if done.returncode:
        sys.exit(done.stdout)
    print(f"Published at {host}.")


def _pip_settings() -> dict[str, str]:
    """Return the environment with this machine's pip settings, and the index as the only package source."""
    lines = _output([sys.executable, "-m", "pip", "config", "list"], ROOT).splitlines()
    settings = {"PIP_INDEX_URL": "https://pypi.org/simple/"}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):  # the environment overrides the rest
        name, _, value = line.partition("=")
        settings[f"PIP_{name.partition('.')[2].replace('-', '_').upper()}"] = value.strip("'\"")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        settings.pop(name, None)
    others = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    return others | settings | {"PIP_CONFIG_FILE": os.devnull}


def _install(home: Path, requirement: str, pip: dict[str, str]) -> None:
    """Install into a new environment, from the one index."""
    _run([sys.executable, "-m", "venv", "--without-pip", home], home.parent)
    _run(
        [sys.executable, "-m", "pip", "--python", python_of(home), "install", "--quiet", requirement], home.parent, pip
    )


def _run(command: Command, folder: Path, environ: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=environ, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _output(command: Command, folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
