"""What a value of a simulated token or of a fault must be."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

__all__ = ["is_number", "is_text", "is_text_map", "is_whole_number", "must_be", "optional", "or_infinite"]

# Some 30 years in seconds. Times that are much larger do not fit into a float or a date.
_MAX = 1_000_000_000


def must_be(what: str, is_good: Callable[[Any], bool]) -> Callable[[object, Any, object], None]:
    """Return a validator for attrs, whose ValueError names the attribute and says what it must be."""

    def validate(_instance: object, attribute: Any, value: object) -> None:
        if not is_good(value):
            raise ValueError(f"{attribute.name} must be {what}")

    return validate


def is_number(minimum: float, maximum: float = _MAX) -> Callable[[Any], bool]:
    """Return a function that returns whether a value is a number in these bounds."""
    return lambda value: type(value) in (int, float) and minimum <= value <= maximum


def is_whole_number(minimum: int, maximum: int = _MAX) -> Callable[[Any], bool]:
    """Return a function that returns whether a value is a whole number in these bounds."""
    return lambda value: type(value) is int and minimum <= value <= maximum


def is_text(value: object) -> bool:
    """Return whether a value is a text."""
    return isinstance(value, str)


def is_text_map(value: object) -> bool:
    """Return whether a value maps texts to texts or None."""
    if not isinstance(value, Mapping):
        return False
    items = cast("Mapping[object, object]", value).items()
    return all(isinstance(name, str) and isinstance(text, str | None) for name, text in items)


def optional(is_good: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a function that also accepts None."""
    return lambda value: value is None or is_good(value)


def or_infinite(is_good: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a function that also accepts ``math.inf``."""
    return lambda value: value == math.inf or is_good(value)
