"""Compare two versions of openapi.yaml: what changed for callers, and whether it breaks them.

A change breaks callers if a valid request may now be rejected or mean something else, or if a response may now be what
the old contract excluded:

- Request: a narrower schema breaks, a wider one does not.
- Response: a wider schema breaks, a narrower one does not.
- A removed or renamed item breaks in both, also an operationId or a path parameter: code is generated from the names.
- A new response field does not break, unless the old contract closed the object. A new enum value does, unless the old
  contract allowed any other value beside it (`anyOf` with the plain type).
- A new error status does not break, because callers must expect any; a new success status does.
- Anything that this module does not know, or that is neither wider nor narrower (another pattern), counts as breaking.

No maintained tool in a registry does this for OpenAPI 3.1. oasdiff is a Go binary, on neither PyPI nor npm, and
openapi-changes on npm downloads one when it is installed. openapi-diff and @azure/oad on npm stop at OpenAPI 3.0 and
2.0. specmatic on PyPI (2.55.3, with Java) reads 3.1, but does not report a removed or renamed optional response field,
nor a removed request field.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from release.schemas import Change, Json, Node, field, matched, named, rest

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# For people, not for programs.
_NOTES = {"$comment", "description", "example", "examples", "externalDocs", "summary", "tags", "title"}
# Their keys are names, which may equal a keyword.
_NAMES = {"$defs", "content", "headers", "paths", "patternProperties", "properties", "responses", "schemas"}
_VALUES = {"const", "default", "enum"}


def changes(old: Json, new: Json) -> list[Change]:
    """Return what changed for callers between two contracts, breaking changes first."""
    # Without duplicates: a component may be used in two places.
    found = dict.fromkeys(_operations(_resolved(old, old), _resolved(new, new)))
    return sorted(found, key=lambda change: not change.breaks)


def report(found: Iterable[Change]) -> str:
    """Return the changes as text, one per line."""
    lines = [f"{'breaks' if change.breaks else 'fine  '}  {change.words}" for change in found]
    return "\n".join(lines or ["Nothing changed for callers."])


def at_revision(folder: Path, revision: str) -> Json:
    """Return the contract of a git revision.

    Raises:
        LookupError: The revision or the file does not exist.
    """
    command = ["git", "-C", str(folder), "show", "--end-of-options", f"{revision}:./openapi.yaml"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LookupError(f"There is no openapi.yaml at {revision!r}: name a commit, branch or tag that has one.")
    return dict(yaml.safe_load(done.stdout))


def in_tree(folder: Path) -> Json:
    """Return the contract of the working tree."""
    return dict(yaml.safe_load((folder / "openapi.yaml").read_text()))


def _resolved(document: Json, node: Any, *, above: tuple[str, ...] = (), names: bool = False) -> Any:
    """Return the node with its references resolved, and without notes for people."""
    if isinstance(node, list):
        return [_resolved(document, item, above=above) for item in node]
    if not isinstance(node, dict):
        return node
    result = Node()
    if "$ref" in node and not names:
        reference = str(node["$ref"])
        if reference in above:  # a recursive component; its outermost use is compared
            return Node(node)
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        result.update(_resolved(document, target, above=(*above, reference)))
        result.name = reference.rpartition("/")[2]
    for key, value in node.items():
        if names:
            result[key] = _resolved(document, value, above=above)
        elif key in _VALUES:
            result[key] = value
        elif key not in _NOTES and key != "$ref" and not key.startswith("x-"):
            result[key] = _resolved(document, value, above=above, names=key in _NAMES)
    return result


def _operations(old: Json, new: Json) -> Iterator[Change]:
    olds, news = dict(_each_operation(old)), dict(_each_operation(new))
    for before, after in matched(olds, news, lambda one, other: one["id"] is not None and one["id"] == other["id"]):
        if after is None:
            yield Change(f"{olds[str(before)]['where']} was removed", breaks=True)
        elif before is None:
            yield Change(f"{news[after]['where']} was added", breaks=False)
        else:
            if before != after:
                yield Change(f"{olds[before]['where']} is now {news[after]['where']}", breaks=True)
            yield from _operation(olds[before], news[after])


def _each_operation(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield each operation with its method and path, and with what it inherits from its path and the document."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    for path, item in document.get("paths", {}).items():
        for method in (method for method in METHODS if method in item):
            operation = item[method]
            levels = (operation, item, document)
            servers: list[Json] = next((level["servers"] for level in levels if "servers" in level), [])
            parameters = (*item.get("parameters", []), *operation.get("parameters", []))
            where = f"{method.upper()} {path}"
            # The name of a path parameter is not sent.
            yield (
                re.sub(r"{[^}]*}", "{}", where),
                {
                    **{key: value for key, value in operation.items() if key != "operationId"},
                    "where": where,
                    "id": operation.get("operationId"),
                    "servers": {one["url"]: {**one, "url": None} for one in servers},
                    # Header names are case-insensitive.
                    "parameters": {
                        f"{one['in']} {one['name'].lower() if one['in'] == 'header' else one['name']}": {
                            **one,
                            "name": None,
                        }
                        for one in parameters
                    },
                    "responses": {str(status): response for status, response in operation.get("responses", {}).items()},
                    "security": [
                        _alternative(schemes, one)
                        for one in operation.get("security", document.get("security")) or [{}]
                    ],
                },
            )


def _alternative(schemes: Json, wanted: dict[str, list[str]]) -> frozenset[str]:
    """Return what a caller must send, named by what goes over the wire and not by the schemes' names."""
    credentials = {f"the scope {scope}" for scopes in wanted.values() for scope in scopes}
    for scheme in (schemes[name] for name in wanted):
        is_key = scheme["type"] == "apiKey"
        credentials.add(f"the {scheme['in']} {scheme['name']}" if is_key else json.dumps(scheme, sort_keys=True))
    return frozenset(credentials)


def _operation(old: Json, new: Json) -> Iterator[Change]:
    where = new["where"]
    if old["id"] != new["id"]:
        yield Change(f"{where} now has the operationId {new['id']} (was {old['id']})", breaks=True)
    yield from named("the server ", old["servers"], new["servers"], rest)
    yield from named(f"{where}: ", old["parameters"], new["parameters"], partial(field, sent=True), sent=True)
    before, after = ({"body": one["requestBody"]} if "requestBody" in one else {} for one in (old, new))
    yield from named(f"{where}: the ", before, after, partial(field, sent=True), sent=True)
    success = {status for status in {**old["responses"], **new["responses"]} if status[0] in "123"}
    before, after = old["responses"], new["responses"]
    yield from named(f"{where}: the response ", before, after, partial(field, sent=False), gone=success, added=success)
    for one in old["security"]:
        if not any(other <= one for other in new["security"]):
            yield Change(f"{where} can no longer be called with {_listed(one)}", breaks=True)
    for one in new["security"]:
        if one not in old["security"]:
            yield Change(f"{where} can now be called with {_listed(one)}", breaks=False)
    yield from rest(where, old, new, {"id", "where", "servers", "security", "parameters", "requestBody", "responses"})


def _listed(wanted: frozenset[str]) -> str:
    return ", ".join(sorted(wanted)) or "no credentials"


def main(arguments: list[str]) -> None:
    """Print what changed since a git revision."""
    if len(arguments) != 1:
        sys.exit("Name the git revision to compare with: nox -s contract_diff -- REV")
    folder = Path.cwd()
    try:
        old = at_revision(folder, arguments[0])
    except LookupError as error:
        sys.exit(str(error))
    print(report(changes(old, in_tree(folder))))


if __name__ == "__main__":
    main(sys.argv[1:])
