"""A strict parser of JSON (RFC 8259). It shares nothing with the package or with Python's `json`."""

import re
from collections.abc import Iterator
from typing import Any

MAX_CONTAINERS = 50

_LEXEME = re.compile(
    r"""[ \t\n\r]*(?:
        (?P<mark>[][{}:,])
      | "(?P<text>[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*)*)"
      | (?P<number>-?(?:0|[1-9][0-9]*)(?P<fraction>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))
      | (?P<word>true|false|null)
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:u(....)|(.))")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Reader:
    """Parse one JSON text. A ValueError: it is not JSON, is ambiguous, or has a number too large for Python."""

    def __init__(self, text: str) -> None:
        self._lexemes = self._split(text)
        self._next = next(self._lexemes)
        self.has_lone_surrogate = False

    def document(self) -> Any:
        value = self._value()
        if next(self._lexemes, None) is not None:
            raise ValueError("more than one value")
        return value

    @staticmethod
    def _split(text: str) -> Iterator[re.Match[str]]:
        end, position = len(text.rstrip(" \t\n\r")), 0
        while position < end:
            if (lexeme := _LEXEME.match(text, position)) is None:
                raise ValueError("no JSON")
            yield lexeme
            position = lexeme.end()
        if not end:
            raise ValueError("nothing")

    def _advance(self) -> re.Match[str]:
        lexeme = next(self._lexemes, None)
        if lexeme is None:
            raise ValueError("cut off")
        self._next = lexeme
        return lexeme

    def _value(self) -> Any:
        lexeme = self._next
        if (text := lexeme["text"]) is not None:
            return self._text(text)
        if (number := lexeme["number"]) is not None:
            return _number(number, is_whole=not lexeme["fraction"])
        if (word := lexeme["word"]) is not None:
            return _WORDS[word]
        if lexeme["mark"] not in ("[", "{"):
            raise ValueError("no value")
        return self._list() if lexeme["mark"] == "[" else self._object()

    def _list(self) -> list[Any]:
        values: list[Any] = []
        if self._advance()["mark"] == "]":
            return values
        while True:
            values.append(self._value())
            mark = self._advance()["mark"]
            if mark == "]":
                return values
            self._expect(",")
            self._advance()

    def _object(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self._advance()["mark"] == "}":
            return values
        while True:
            if (raw := self._next["text"]) is None or (name := self._text(raw)) in values:
                raise ValueError("no name, or one name twice")
            self._advance()
            self._expect(":")
            self._advance()
            values[name] = self._value()
            mark = self._advance()["mark"]
            if mark == "}":
                return values
            self._expect(",")
            self._advance()

    def _expect(self, mark: str) -> None:
        if self._next["mark"] != mark:
            raise ValueError(f"no {mark}")

    def _text(self, raw: str) -> str:
        text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2]), raw)
        if _SURROGATE.search(text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            self.has_lone_surrogate |= _SURROGATE.search(text) is not None
        return text


def _number(text: str, *, is_whole: bool) -> float:
    if is_whole:
        return int(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("beyond a float")
    return value


def parsed(body: bytes) -> tuple[Any, bool]:
    """Return the value of a JSON text in UTF-8, and whether every parser must read it.

    A parser may also reject a byte order mark and half a surrogate pair.
    """
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise ValueError("too many containers")
    text = body.decode()
    reader = _Reader(text.removeprefix("\ufeff"))
    return reader.document(), not (text.startswith("\ufeff") or reader.has_lone_surrogate)
