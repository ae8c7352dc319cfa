"""The tasks of this project; `python3 noxfile.py --list` shows them.

`python3 noxfile.py` needs a Python with pip and nothing else: it first installs nox into an environment of its own and
then starts it. Where nox and uv are installed, plain `nox` does the same. uv makes the environments: it installs in a
second what takes pip half a minute.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

if __name__ == "__main__":
    home = ROOT / ".nox" / ".nox"
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    if not (scripts / "nox").exists():
        # Without pip, which needs ensurepip: Debian has that in a separate package.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
        pip = [sys.executable, "-m", "pip", "--python", scripts / "python", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", *PROJECT["dependency-groups"]["nox"]], check=True)
    sys.exit(subprocess.run([scripts / "python", "-m", "nox", "-f", __file__, *sys.argv[1:]], check=False).returncode)

import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor

import nox

PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if ":: Python :: 3." in line]
# No Python runs the tests twice: this one measures the coverage, and the one of `nox` makes the quick run.
COVERAGE_PYTHON = "3.13"
OTHER_PYTHONS = [
    version for version in PYTHONS if version != COVERAGE_PYTHON and not sys.version.startswith(f"{version}.")
]
# The suite waits on sockets and processes more than it computes, so two cores keep more workers than two busy.
PYTEST = ("pytest", "--numprocesses=4", "--dist=worksteal")

nox.options.default_venv_backend = "uv"
nox.options.error_on_external_run = True
# The full run tests every supported Python that the machine has; a missing one is skipped, on CI too.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"
# The quick run, for every change. `-t full` adds the rest; CI runs both.
nox.options.sessions = ["drift", "spec", "lint", "types", "tests"]

# The tests start hundreds of programs, and with bytecode each starts in half the time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# pyenv hides the Pythons that are not selected.
_pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *sorted(map(str, _pyenv.glob("versions/3.*/bin")))])


@nox.session
def demo(session: nox.Session) -> None:
    """See it work: a simulator on this machine, and tokens checked there until 3-D Secure completes."""
    _install_wheel(session, "cli,simulator")
    session.run("wonder-payment", "demo", *session.posargs)


@nox.session
def regenerate(session: nox.Session) -> None:
    """Write generated/ from openapi.yaml."""
    _generated(session, "write")


@nox.session
def drift(session: nox.Session) -> None:
    """Fail, and show the difference, if generated/ does not match openapi.yaml."""
    _generated(session, "check")


@nox.session
def spec(session: nox.Session) -> None:
    """Validate openapi.yaml, and the description of the simulator's control API."""
    session.install(*_group("spec"))
    session.run("openapi-spec-validator", "openapi.yaml", "wrapper/wonder_payment/simulator/control.yaml")


@nox.session(tags=["full"])
def schemathesis(session: nox.Session) -> None:
    """Test the simulator against openapi.yaml, and its control API against control.yaml (schemathesis)."""
    _install_wheel(session, "simulator", *_group("schemathesis"))
    session.run("pytest", "tests/contract", *session.posargs)


@nox.session(tags=["full"])
def peers(session: nox.Session) -> None:
    """Test the package with nginx, squid, Prism, SoftHSM, gunicorn and uvicorn; a missing program is skipped."""
    _install_wheel(session, "fast,cli,simulator", *_group("peers"))
    home = Path(session.virtualenv.location)
    if shutil.which("npm"):
        prism = "@stoplight/prism-cli@5.14.2"  # the last for Node.js 18 to 22
        session.run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(home), prism, external=True)
    # Debian has nginx and squid in a folder that only root searches.
    path = os.pathsep.join([os.environ["PATH"], str(home / "node_modules" / ".bin"), "/usr/sbin"])
    session.run("pytest", "tests/peers", *session.posargs, env={"PATH": path})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format (ruff), and spelling (codespell)."""
    session.install(*_group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the wrapper and of code that uses it (mypy for each system, basedpyright, pyright)."""
    _install_wheel(session, "fast,cli,simulator", *_group("types"))

    def mypy(platform: str) -> None:
        options = [f"--platform={platform}", f"--cache-dir=.mypy_cache/{platform}"]
        session.run("mypy", *options, "wrapper")
        # In a separate process, where the package is the installed one, as for a user.
        session.run("mypy", *options, "tests/typing", "examples")

    with ThreadPoolExecutor(2) as two_at_a_time:
        checks = [two_at_a_time.submit(mypy, platform) for platform in ("linux", "darwin", "win32")]
        checks.append(two_at_a_time.submit(session.run, "pyright", "tests/typing"))
        checks.append(two_at_a_time.submit(session.run, "basedpyright", "wrapper", "tests/typing"))
    for check in checks:
        check.result()


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests against the built wheel, except those for a browser or Redis; pytest arguments go after --."""
    _install_wheel(session, "fast,cli,simulator", *_group("tests"))
    session.run(*PYTEST, *session.posargs)


@nox.session(python=OTHER_PYTHONS, tags=["full"])
def tests_on(session: nox.Session) -> None:
    """Run the same tests on each other Python."""
    tests(session)


@nox.session
def quick(session: nox.Session) -> None:
    """Run the tests against the working tree, for the inner loop: `-s quick -- -k retry`."""
    session.install("--editable", ".[fast,cli,simulator]", *_group("tests"))
    # In one process: for a few tests, four workers would take longer to start than to run.
    session.run("pytest", *session.posargs)


@nox.session(python=COVERAGE_PYTHON, tags=["full"])
def coverage(session: nox.Session) -> None:
    """Run all tests, with those that need Chromium or Redis, and fail under the coverage set in pyproject.toml."""
    _install_wheel(session, "fast,cli,simulator", *_group("tests"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", *PYTEST, "-m", "", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=PYTHONS[0], tags=["full"])
def tests_lowest(session: nox.Session) -> None:
    """Run the tests on the lowest versions of the dependencies that pyproject.toml allows."""
    project = PROJECT["project"]
    lowest = [
        requirement.replace(">=", "==")
        for requirements in (project["dependencies"], *project["optional-dependencies"].values())
        for requirement in requirements
    ]
    _install_wheel(session, "fast,cli,simulator", *_group("tests"), *lowest)
    session.run(*PYTEST, *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Play every fault of tests/faults/matrix.py in real time; writes docs/contributing/faults.md."""
    _install_wheel(session, "fast,cli,simulator", *_group("tests"))
    session.run("python", "-m", "faults.write_matrix", env={"PYTHONPATH": "tests"})


@nox.session(python=PYTHONS[0])  # atheris has no wheels for newer ones
def fuzz(session: nox.Session) -> None:
    """Search for a response that is read wrongly (atheris); libFuzzer arguments go after --."""
    _install_wheel(session, "simulator", *_group("fuzz"))
    options = session.posargs or ["-runs=1000000"]
    session.run("python", "-m", "faults.fuzz", *options, env={"PYTHONPATH": "tests"})


@nox.session
def mutation(session: nox.Session) -> None:
    """Mutate modules, and fail if the tests detect fewer than 90 % of the mutants (cosmic-ray): -- retry models."""
    # The installed copy is mutated; the next run installs it again.
    _install_wheel(session, "fast,cli,simulator", *_group("tests"), *_group("mutation"))
    session.run("python", "-m", "release.mutation", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Check 200,000 tokens with faults; writes docs/contributing/soak.md. -- --checks 2000 only prints."""
    _install_wheel(session, "fast,simulator", *_group("soak"))
    session.run("python", "-m", "benchmarks.soak", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the docs site in site/, and fail on a broken link; -- serve shows it while you write."""
    _mkdocs(session, *session.posargs or ["build", "--strict"])


@nox.session(tags=["full"])
def site(session: nox.Session) -> None:
    """Build the docs site, and test it in a browser."""
    _mkdocs(session, "build", "--strict")
    session.install(*_group("site"))
    session.run("pytest", "-m", "", "tests/site", *session.posargs)


@nox.session
def contract_diff(session: nox.Session) -> None:
    """List what changed in openapi.yaml since a git revision, and whether it breaks callers: -- REV."""
    session.install(*_group("contract"))
    session.run("python", "-m", "release.contract", *session.posargs)


@nox.session(venv_backend="virtualenv", tags=["full"])
def build(session: nox.Session) -> None:
    """Build sdist, wheel and SBOM in dist/, the same bytes each time, and check the licences."""
    session.install(*_group("build"))
    session.run("python", "-m", "release.build")


@nox.session(venv_backend="virtualenv")
def publish(session: nox.Session) -> None:
    """Check that this version may be published, build it, and upload it; twine arguments go after --."""
    session.install(*_group("publish"))
    # Not as arguments: nox prints those, and one may be a password.
    session.run("python", "-m", "release.publish", env={"PUBLISH_ARGUMENTS": shlex.join(session.posargs)})


@nox.session(venv_backend="virtualenv", tags=["full"])
def publish_check(session: nox.Session) -> None:
    """Publish to a temporary index on this machine, install from it, and run the demo."""
    session.install(*_group("publish_check"))
    session.run("python", "-m", "release.rehearsal")


@nox.session
def bench(session: nox.Session) -> None:
    """Compare the speed with hand-written clients; writes benchmarks/RESULTS.md. -- --quick only prints."""
    _install_wheel(session, "fast", *_group("bench"))
    session.run("python", "-m", "benchmarks.bench", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Simulate polling schedules, and outages with the retry quota; writes the tables and the chart in benchmarks/."""
    _install_wheel(session, "simulator", *_group("bench"))
    session.run("python", "benchmarks/polling.py")
    session.run("python", "benchmarks/outage.py")


def _group(name: str) -> list[str]:
    return nox.project.dependency_groups(PROJECT, name)


def _mkdocs(session: nox.Session, *command: str) -> None:
    _install_wheel(session, "fast,cli,simulator", *_group("docs"))
    # What the theme would load from a CDN: the diagrams, and the search of a page that is opened from disk.
    packages = ("mermaid@11.12.2", "iframe-worker@1.0.4")
    scripts = Path(session.virtualenv.location) / " ".join(packages)
    scripts.mkdir(exist_ok=True)
    if len(list(scripts.iterdir())) < len(packages):
        session.run("npm", "pack", "--silent", "--pack-destination", str(scripts), *packages)
    # Without the second variable, the theme prints an advertisement at each build.
    session.run("mkdocs", *command, env={"SITE_SCRIPTS": str(scripts), "NO_MKDOCS_2_WARNING": "1"})


def _install_wheel(session: nox.Session, extras: str, *others: str) -> None:
    if not _wheel:  # built once per run
        folder = ROOT / ".nox" / "wheel"
        shutil.rmtree(folder, ignore_errors=True)
        session.run("uv", "build", "--quiet", "--wheel", "--out-dir", str(folder))
        _wheel.extend(folder.glob("*.whl"))
    # Without --reinstall-package, a wheel of the same version counts as installed.
    wheel = f"wonder-payment[{extras}] @ {_wheel[0].as_uri()}"
    session.install("--reinstall-package", "wonder-payment", wheel, *others)


_wheel: list[Path] = []


def _generated(session: nox.Session, command: str) -> None:
    # The group pins every dependency, indirect ones included.
    session.install("--no-deps", *_group("regenerate"))
    session.run("uv", "pip", "check")
    session.run("python", "-m", "release.generated", command)
