"""Build the sdist, the wheel and its SBOM into dist/, and fail if the same sources do not give the same bytes."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

DIST = Path("dist")
# Without git, as in an unpacked sdist: the earliest time that a ZIP file can hold.
NO_COMMIT = "315532800"


def main() -> None:
    """Build three times: twice from this folder, and once from the unpacked sdist."""
    os.environ["SOURCE_DATE_EPOCH"] = _commit_time()
    shutil.rmtree(DIST, ignore_errors=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        _build(Path.cwd(), DIST, umask=0o022)
        _build(Path.cwd(), folder / "a second time", umask=0o077)
        (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
        _build(_unpacked(sdist, folder), folder / "from the sdist", umask=0o022)
        for other in ("a second time", "from the sdist"):
            for path in (sdist, wheel):
                if path.read_bytes() != (folder / other / path.name).read_bytes():
                    sys.exit(f"{path.name}, built {other}, has different bytes.")
        run("twine", "check", "--strict", sdist, wheel)
        run("check_wheel_contents", wheel)
        _write_sbom(wheel, folder)


def _commit_time() -> str:
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else NO_COMMIT


def _build(source: Path, target: Path, *, umask: int) -> None:
    # The pinned hatchling of this environment, because the wheel contains its version.
    options = ("--directory", target.absolute(), "-t", "sdist", "-t", "wheel")
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", *options]
    done = subprocess.run(command, cwd=source, check=False, capture_output=True, text=True, umask=umask)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def _unpacked(sdist: Path, folder: Path) -> Path:
    """Unpack the sdist, and give its files other modes and times than this checkout's."""
    with tarfile.open(sdist) as archive:
        # The default of 3.14; the first releases of 3.11 do not have it.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        archive.extractall(folder)  # noqa: S202 (our own archive)
    result = folder / sdist.name.removesuffix(".tar.gz")
    for path in result.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (1e9, 1e9))
    return result


def _write_sbom(wheel: Path, folder: Path) -> None:
    """Write the SBOM of a plain install of the wheel, and fail on a licence that pyproject.toml does not allow."""
    bare, (name, version) = folder / "bare", wheel.name.split("-")[:2]
    run("venv", "--without-pip", bare)
    pip = ("pip", "--python", bare, "--disable-pip-version-check", "install", "--quiet")
    run(*pip, wheel)
    # Again by name: a package installed from a path has that path in the SBOM.
    run(*pip, "--no-deps", "--no-index", "--force-reinstall", "--find-links", DIST, f"{name}=={version}")
    about = folder / "pyproject.toml"
    about.write_text(_with_version(Path("pyproject.toml").read_text(), version))
    sbom = DIST / f"{name}-{version}.cdx.json"
    options = ("--pyproject", about, "--mc-type", "library", "--output-reproducible", "--output-file", sbom)
    run("cyclonedx_py", "environment", *options, bare)
    run("piplicenses", "--python", python_of(bare))


def _with_version(project: str, version: str) -> str:
    """Return the text of pyproject.toml with the version in it: the SBOM tool reads no other file."""
    before, dynamic, after = project.partition('dynamic = ["version"]')
    if not dynamic:
        sys.exit('release/build.py expects `dynamic = ["version"]` in pyproject.toml.')
    return f'{before}version = "{version}"{after}'


def python_of(environment: Path) -> Path:
    """Return the Python of a virtual environment."""
    return environment / ("Scripts" if os.name == "nt" else "bin") / "python"


def run(module: str, *arguments: str | Path) -> None:
    """Run a module with this Python, and exit with its status if it fails."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
