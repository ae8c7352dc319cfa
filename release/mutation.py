"""Mutate modules of the installed package, and count the mutants that the tests detect (cosmic-ray).

`python -m release.mutation [MODULE ...]`, without arguments for all modules.
"""

import json
import shlex
import sqlite3
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import wonder_payment

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutation"]

# Each mutated module, and the fast tests that must detect its mutants.
TESTS = {
    "signing": ["signing", "private_key", "signing_auth", "gateway_clock", "verify_request"],
    "retry": ["retry"],
    "models": ["models", "card_expiry", "references"],
    "_flow": ["flow", "wait", "throttle"],
    "_http/response": ["response", "api_errors", "response_headers", "envelopes"],
    "_http/exchange": ["exchange", "transport_failures", "pool", "max_connections"],
    "_http/failures": ["transport_failures", "permanent_failures"],
    "_http/received": ["response"],
    "_keys": ["keys", "private_key"],
}


def configuration(module: str) -> str:
    """Return the settings of cosmic-ray."""
    options = ["-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command = [sys.executable, "-m", "pytest", *options, *(f"tests/test_{name}.py" for name in TESTS[module])]
    return f"""
        [cosmic-ray]
        module-path = {json.dumps(str(Path(wonder_payment.__path__[0], f"{module}.py")))}
        timeout = {SETTINGS["timeout"]}
        test-command = {json.dumps(shlex.join(command))}
        distributor.name = "local"
        filters.operators-filter.exclude-operators = {json.dumps(SETTINGS["exclude-operators"])}
    """


def run(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, cwd=ROOT, check=True)


def passes(module: str) -> bool:
    """Mutate a module, print the surviving mutants, and return whether the tests detect at least 90 %."""
    with tempfile.TemporaryDirectory() as folder:
        config, results = f"{folder}/cosmic-ray.toml", f"{folder}/results.sqlite"
        Path(config).write_text(configuration(module))
        run("cosmic-ray", "init", config, results)
        run("cosmic-ray", "baseline", config)
        run("cr-filter-operators", results, config)
        run("cosmic-ray", "exec", config, results)
        run("cr-report", "--surviving-only", "--show-diff", results)
        # Not cr-rate, which counts skipped mutants as killed.
        with sqlite3.connect(results) as connection:
            counts = dict(connection.execute("SELECT test_outcome, count(*) FROM work_results GROUP BY 1"))
    tried = sum(count for outcome, count in counts.items() if outcome)
    killed = counts.get("KILLED", 0)
    print(f"{module}: {killed} of {tried} mutants killed")
    return killed >= 0.9 * tried


if __name__ == "__main__":
    modules = sys.argv[1:] or list(TESTS)
    if failed := [module for module in modules if not passes(module)]:
        sys.exit(f"The tests detect fewer than 90 % of the mutants of {', '.join(failed)}.")
