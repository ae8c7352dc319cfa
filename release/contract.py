"""What a change of openapi.yaml means for callers, in words, and whether it breaks them.

A change breaks callers when a request that was good may be refused now or mean something else, or when an answer may
be what the old contract ruled out:

- In a request, what is narrowed breaks: the gateway takes less. What is widened does not.
- In an answer, what is widened breaks: more may come. What is narrowed does not.
- What is gone or has another name breaks in both: callers name it. A name counts where code is made from it, too: an
  operationId, a path parameter.
- A new field of an answer does not break, unless the old contract closed the object; a new value of an enum does,
  unless the old contract let in any other value beside it (`anyOf` with the plain type).
- A new error status does not break: callers have to expect any. A new good status does.
- What this module does not know, and what is neither wider nor narrower (another pattern), breaks: better a word too
  many than one too few.

Why not a tool: oasdiff, the one that is kept up and knows OpenAPI 3.1, comes as a Go binary, on neither PyPI nor npm;
openapi-changes on npm fetches such a binary from elsewhere as it is installed; openapi-diff and @azure/oad on npm stop
at OpenAPI 3.0 and 2.0.
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
# Told to people, not to programs.
_NOTES = {"$comment", "description", "example", "examples", "externalDocs", "summary", "tags", "title"}
# Their keys are names, which may be those of keywords.
_NAMES = {"$defs", "content", "headers", "paths", "patternProperties", "properties", "responses", "schemas"}
_VALUES = {"const", "default", "enum"}


def changes(old: Json, new: Json) -> list[Change]:
    """Return what changed for callers from one contract to another, what breaks them first."""
    found = dict.fromkeys(_operations(_resolved(old, old), _resolved(new, new)))  # a component may be used twice
    return sorted(found, key=lambda change: not change.breaks)


def told(found: Iterable[Change]) -> str:
    """Return the changes as text, a line each."""
    lines = [f"{'breaks' if change.breaks else 'fine  '}  {change.words}" for change in found]
    return "\n".join(lines or ["Nothing changed for callers."])


def at_revision(folder: Path, revision: str) -> Json:
    """Return the contract as a git revision has it; LookupError if it has none."""
    command = ["git", "-C", str(folder), "show", "--end-of-options", f"{revision}:./openapi.yaml"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LookupError(f"git knows no openapi.yaml at {revision!r}: name a commit, a branch or a tag that has one.")
    return dict(yaml.safe_load(done.stdout))


def in_tree(folder: Path) -> Json:
    """Return the contract as the working tree has it."""
    return dict(yaml.safe_load((folder / "openapi.yaml").read_text()))


def _resolved(document: Json, node: Any, *, above: tuple[str, ...] = (), names: bool = False) -> Any:
    """Return the node with its references replaced by what they name, and without what is told to people."""
    if isinstance(node, list):
        return [_resolved(document, item, above=above) for item in node]
    if not isinstance(node, dict):
        return node
    result = Node()
    if "$ref" in node and not names:
        reference = str(node["$ref"])
        if reference in above:  # a component within itself; it is compared where it begins
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
            yield Change(f"{olds[str(before)]['where']} is gone", breaks=True)
        elif before is None:
            yield Change(f"{news[after]['where']} is new", breaks=False)
        else:
            if before != after:
                yield Change(f"{olds[before]['where']} is {news[after]['where']} now", breaks=True)
            yield from _operation(olds[before], news[after])


def _each_operation(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield the operations under their method and path, with all that holds for them, wherever the contract says it."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    for path, item in document.get("paths", {}).items():
        for method in (method for method in METHODS if method in item):
            operation = item[method]
            levels = (operation, item, document)
            servers: list[Json] = next((level["servers"] for level in levels if "servers" in level), [])
            parameters = (*item.get("parameters", []), *operation.get("parameters", []))
            where = f"{method.upper()} {path}"
            # The name of a path's parameter is not sent.
            yield (
                re.sub(r"{[^}]*}", "{}", where),
                {
                    **{key: value for key, value in operation.items() if key != "operationId"},
                    "where": where,
                    "id": operation.get("operationId"),
                    "servers": {one["url"]: {**one, "url": None} for one in servers},
                    # HTTP takes a header's name in upper and lower case alike.
                    "parameters": {
                        f"{one['in']} {one['name'].lower() if one['in'] == 'header' else one['name']}": {
                            **one,
                            "name": None,
                        }
                        for one in parameters
                    },
                    "responses": {str(status): answer for status, answer in operation.get("responses", {}).items()},
                    "security": [
                        _alternative(schemes, one)
                        for one in operation.get("security", document.get("security")) or [{}]
                    ],
                },
            )


def _alternative(schemes: Json, wanted: dict[str, list[str]]) -> frozenset[str]:
    """Return what a caller has to send, by what goes over the wire and not by the schemes' names."""
    told = {f"the scope {scope}" for scopes in wanted.values() for scope in scopes}
    for scheme in (schemes[name] for name in wanted):
        is_key = scheme["type"] == "apiKey"
        told.add(f"the {scheme['in']} {scheme['name']}" if is_key else json.dumps(scheme, sort_keys=True))
    return frozenset(told)


def _operation(old: Json, new: Json) -> Iterator[Change]:
    where = new["where"]
    if old["id"] != new["id"]:
        yield Change(f"{where} has the operationId {new['id']} now (was {old['id']})", breaks=True)
    yield from named("the server ", old["servers"], new["servers"], rest)
    yield from named(f"{where}: ", old["parameters"], new["parameters"], partial(field, sent=True), sent=True)
    before, after = ({"body": one["requestBody"]} if "requestBody" in one else {} for one in (old, new))
    yield from named(f"{where}: the ", before, after, partial(field, sent=True), sent=True)
    good = {status for status in {**old["responses"], **new["responses"]} if status[0] in "123"}
    before, after = old["responses"], new["responses"]
    yield from named(f"{where}: the answer ", before, after, partial(field, sent=False), gone=good, added=good)
    for one in old["security"]:
        if not any(other <= one for other in new["security"]):
            yield Change(f"{where} is not to be called with {_listed(one)} any more", breaks=True)
    for one in new["security"]:
        if one not in old["security"]:
            yield Change(f"{where} is to be called with {_listed(one)}", breaks=False)
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
    print(told(changes(old, in_tree(folder))))


if __name__ == "__main__":
    main(sys.argv[1:])
