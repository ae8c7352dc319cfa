"""Fail when a dependency in a CycloneDX SBOM has no licence, or one that is not known to ask for nothing in return."""

import json
import sys
from pathlib import Path
from typing import Any

from license_expression import OR, ExpressionError, LicenseExpression, get_spdx_licensing

# A licence that is not here is copyleft until someone has read it.
PERMISSIVE = {
    *(
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
    ),
    "License :: OSI Approved :: BSD License",  # a classifier, which has no SPDX id: it is any of the BSD ones
}
EXCEPTIONS = {
    # Mozilla's list of certificate authorities. The MPL's copyleft ends at the file, and nobody here changes that file
    # or ships a copy of it: pip gets it from certifi's own wheel.
    "certifi": {"MPL-2.0", "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"},
}


def objections(sbom: dict[str, Any]) -> list[str]:
    """Return a line for each component whose licence won't do."""
    result = []
    for component in sbom["components"]:
        name, told = component["name"], [_text(entry) for entry in component.get("licenses", [])]
        if not told:
            result.append(f"{name} has no licence")
        allowed = PERMISSIVE | EXCEPTIONS.get(name, set())
        result += [f"{name} has the licence {text!r}" for text in told if not _is_allowed(text, allowed)]
    return result


def _text(entry: dict[str, Any]) -> str:
    named = entry.get("license", {})
    return str(entry.get("expression") or named.get("id") or named.get("name"))


def _is_allowed(text: str, allowed: set[str]) -> bool:
    """Whether one of the licences offered (OR) is allowed, and all of those that hold together (AND)."""

    def holds(part: LicenseExpression) -> bool:
        if part.args:
            return (any if isinstance(part, OR) else all)(map(holds, part.args))
        return str(part) in allowed

    try:
        return text in allowed or holds(get_spdx_licensing().parse(text))
    except ExpressionError:  # free text, which nobody has read
        return False


if __name__ == "__main__":
    found = objections(json.loads(Path(sys.argv[1]).read_text()))
    if found:
        sys.exit("; ".join(found) + ": see release/licences.py")
