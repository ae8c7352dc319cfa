"""Compare two JSON Schemas; contract.py has the rules.

``sent`` is True for a schema of a request, False for one of a response.
"""

import json
from collections.abc import Callable, Container, Iterator
from functools import partial
from typing import Any, NamedTuple

Json = dict[str, Any]
_LOWER = ("exclusiveMinimum", "minItems", "minLength", "minProperties", "minimum")
_UPPER = ("exclusiveMaximum", "maxItems", "maxLength", "maxProperties", "maximum")
_EXACT = ("contentEncoding", "contentMediaType", "format", "multipleOf", "pattern", "uniqueItems")
_COMPARED = {*_LOWER, *_UPPER, *_EXACT, "additionalProperties", "enum", "items", "properties", "required", "type"}
_TYPES = {bool: "boolean", dict: "object", float: "number", int: "integer", list: "array", str: "string"}
_WIDER = ("number", "integer")


class Change(NamedTuple):
    """A change, and whether it breaks callers."""

    words: str
    breaks: bool


class Node(Json):
    """An object of the contract. Two with the same content are equal, whatever their components are called."""

    name: str | None = None


def matched(old: Json, new: Json, same: Callable[[Any, Any], bool]) -> Iterator[tuple[str | None, str | None]]:
    """Yield pairs of names: in both, renamed (if each is the only match of the other), in one only."""
    gone, added = [name for name in old if name not in new], [name for name in new if name not in old]
    like_old = {name: [other for other in added if same(old[name], new[other])] for name in gone}
    like_new = {name: [other for other in gone if same(old[other], new[name])] for name in added}
    renamed = {one: like[0] for one, like in like_old.items() if len(like) == 1 and like_new[like[0]] == [one]}
    yield from ((name, name) for name in old if name in new)
    yield from ((name, renamed.get(name)) for name in gone)
    yield from ((None, name) for name in added if name not in renamed.values())


def named(
    where: str,
    olds: Json,
    news: Json,
    compare: Callable[[str, Json, Json], Iterator[Change]],
    *,
    sent: bool = False,
    gone: Container[str] | None = None,
    added: Container[str] = (),
) -> Iterator[Change]:
    """Yield the changes of named items. Removing one in ``gone`` (None: any) or adding one in ``added`` breaks."""
    for before, after in matched(olds, news, lambda one, other: bool(one == other)):
        if before is None:
            is_required = sent and news[str(after)].get("required", False)
            yield Change(
                f"{where}{after} was added{' and is required' * is_required}", breaks=is_required or after in added
            )
        elif after is None:
            yield Change(f"{where}{before} was removed", breaks=gone is None or before in gone)
        elif before != after:
            yield Change(f"{where}{before} was renamed to {after}", breaks=True)
        else:
            yield from compare(f"{where}{after}", olds[before], news[after])


def rest(where: str, old: Json, new: Json, compared: Container[str] = ()) -> Iterator[Change]:
    """Yield the changes that nothing else here compares: ``deprecated``, and keywords unknown to this module."""
    for key in sorted(old.keys() | new.keys()):
        if key == "deprecated" and old.get(key, False) != new.get(key, False):
            yield Change(f"{where} is {'now' if new.get(key) else 'no longer'} deprecated", breaks=False)
        elif key != "deprecated" and key not in compared and old.get(key) != new.get(key):
            yield Change(f"{where} changed its {key}: check what that means", breaks=True)


def field(where: str, old: Json, new: Json, *, sent: bool) -> Iterator[Change]:
    """Compare two items with a schema or content: a parameter, header, body, response or field of an object."""
    is_required = bool(new.get("required"))
    if bool(old.get("required")) != is_required:
        words = ("may now be absent", "is now always present", "is now optional", "is now required")
        yield Change(f"{where} {words[2 * sent + is_required]}", breaks=sent == is_required)
    compare = partial(field, sent=sent)
    yield from named(f"{where}: header ", old.get("headers", {}), new.get("headers", {}), compare, sent=sent)
    yield from named(f"{where} as ", old.get("content", {}), new.get("content", {}), compare)
    yield from _schema(where, old.get("schema", True), new.get("schema", True), sent=sent)
    yield from rest(where, old, new, {"required", "headers", "content", "schema"})


def _schema(where: str, old: Any, new: Any, *, sent: bool) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, Node) and isinstance(new, Node):
        where = _where(where, old, new, sent=sent)
        before, after = old.get("default"), new.get("default")
        if before != after:
            # A caller who omits the field gets another value. Without an old default, nobody could rely on one.
            words = f"now has the default {_shown(after)} (was {_shown(before)})"
            yield Change(f"{where} {words}", breaks=sent and before is not None)
        yield from rest(where, old, new, old.keys() | new.keys())
    olds, news = _branches(old), _branches(new)
    pairs, gone, added = _paired(olds, news)
    for before, after in pairs:
        # What one branch gains or loses does not matter if another branch covers it.
        own, others = (after, news) if sent else (before, olds)
        is_covered = any(_fits(before if sent else after, other) for other in others if other is not own)
        for change in _branch(_where(where, before, after, sent=sent), before, after, sent=sent):
            yield Change(change.words, breaks=change.breaks and not is_covered)
    for one in gone:
        breaks = sent and not any(_fits(one, other) for other in news)
        yield Change(
            f"{where} {'no longer accepts' if sent else 'is no longer'} {one.get('type', 'anything')}", breaks=breaks
        )
    for one in added:
        breaks = not sent and not any(_fits(one, other) for other in olds)
        yield Change(f"{where} {'now accepts' if sent else 'may now be'} {one.get('type', 'anything')}", breaks=breaks)


def _where(where: str, old: Node, new: Node, *, sent: bool) -> str:
    """Return the name of the component if the schemas are versions of one, else ``where``."""
    return f"the {'request' if sent else 'response'}'s {old.name}" if old.name and old.name == new.name else where


def _branches(schema: Any) -> list[Node]:
    """Split a schema into alternatives of one type each."""
    if isinstance(schema, bool):
        return [Node()] * schema
    for keyword in ("anyOf", "oneOf"):
        rest = {key: value for key, value in schema.items() if key != keyword}
        parts = schema.get(keyword, [])
        if parts and all(isinstance(part, dict) and not rest.keys() & part.keys() for part in parts):
            return [one for part in parts for one in _branches(_like(part, {**rest, **part}))]
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    types = schema.get("type", sorted({_type(value) for value in values}) if values else None)
    result = []
    for one in types if isinstance(types, list) else [types]:
        # null has no other keyword.
        left_out = {"const", "default", "deprecated", "type", "enum"} | (schema.keys() if one == "null" else set())
        branch = _like(schema, {key: value for key, value in schema.items() if key not in left_out})
        if one is not None:
            branch["type"] = one
        if values and one != "null":
            branch["enum"] = [value for value in values if _type(value) == one or (one, _type(value)) == _WIDER]
        result.append(branch)
    return result


def _like(source: Json, content: Json) -> Node:
    """Return a node with the component name of another."""
    result = Node(content)
    result.name = getattr(source, "name", None)
    return result


def _type(value: Any) -> str:
    return _TYPES.get(type(value), "null")


def _paired(olds: list[Node], news: list[Node]) -> tuple[list[tuple[Node, Node]], list[Node], list[Node]]:
    """Return the changed branches in pairs, the removed ones, and the added ones."""
    gone, added = [one for one in olds if one not in news], [one for one in news if one not in olds]
    pairs = []
    for key in (lambda one: (one.name, one.get("type")), lambda one: one.get("type")):
        for one in tuple(gone):
            twins = [other for other in added if key(one) == key(other)]
            if twins:
                pairs.append((one, twins[0]))
                gone = [other for other in gone if other is not one]
                added = [other for other in added if other is not twins[0]]
    return pairs, gone, added


def _fits(narrow: Any, wide: Any) -> bool:
    """Return whether each value of one schema is valid for the other, as far as this module knows."""
    return all(any(_branch_fits(one, other) for other in _branches(wide)) for one in _branches(narrow))


def _branch_fits(narrow: Json, wide: Json) -> bool:
    kinds = (wide.get("type"), narrow.get("type"))
    is_kind = kinds[0] in {None, kinds[1]} or kinds == _WIDER
    return not wide or (is_kind and not any(change.breaks for change in _branch("", narrow, wide, sent=True)))


def _branch(where: str, old: Json, new: Json, *, sent: bool) -> Iterator[Change]:
    """Compare two schemas of one type."""
    for key in (*_LOWER, *_UPPER, *_EXACT):
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        if was is None or now is None or key in _EXACT:
            is_narrower, is_wider = now is not None, was is not None
        else:
            is_narrower = now > was if key in _LOWER else now < was
            is_wider = not is_narrower
        words = f"no longer has {key}" if now is None else f"now has {key} {now}"
        before_that = "" if was is None else f" (was {was})"
        yield Change(f"{where} {words}{before_that}", breaks=is_narrower if sent else is_wider)
    yield from _enum(where, old.get("enum"), new.get("enum"), sent=sent)
    before, after = _fields(old), _fields(new)
    unnamed = old.get("additionalProperties", True)
    added = set() if sent else {name for name, one in after.items() if not _fits(one["schema"], unnamed)}
    yield from named(f"{where}.", before, after, partial(field, sent=sent), sent=sent, added=added)
    yield from _schema(f"an additional property of {where}", unnamed, new.get("additionalProperties", True), sent=sent)
    yield from _schema(f"an item of {where}", old.get("items", True), new.get("items", True), sent=sent)
    yield from rest(where, old, new, _COMPARED)


def _fields(schema: Json) -> Json:
    """Return the fields of an object in the form of parameters."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return {
        name: {"schema": properties.get(name, True), "required": name in required}
        for name in {**properties, **dict.fromkeys(required)}
    }


def _enum(where: str, olds: list[Any] | None, news: list[Any] | None, *, sent: bool) -> Iterator[Change]:
    if olds == news:
        return
    verb = "now accepts" if sent else "may now be"
    if news is None:
        yield Change(f"{where} {verb} any value", breaks=not sent)
    elif olds is None:
        yield Change(f"{where} {'now accepts' if sent else 'is now'} only {', '.join(map(_shown, news))}", breaks=sent)
    else:
        for value in (value for value in olds if value not in news):
            yield Change(f"{where} {'no longer accepts' if sent else 'is no longer'} {_shown(value)}", breaks=sent)
        for value in (value for value in news if value not in olds):
            yield Change(f"{where} {verb} {_shown(value)}", breaks=not sent)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
