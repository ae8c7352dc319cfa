"""Environment variables become the settings of a client."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .config import (
    Settings,
    checked_app_id,
    checked_environment,
    checked_language,
    checked_origin,
    plain_text,
    unquoted,
)
from .errors import ConfigurationError

# What checks each variable but those of the key, with its name for the message.
_CHECKS: dict[str, Callable[[object, str], object]] = {
    "app_id": checked_app_id,
    "environment": checked_environment,
    "base_url": checked_origin,
    "language": checked_language,
}


def settings_from(environ: Mapping[str, str], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a client, from environment variables and their overrides.

    Whitespace and quotes around a variable are removed, except from a key and a passphrase; an empty one counts as
    missing. An override replaces its variable; ``private_key`` also replaces the variable of the passphrase. All are
    checked here but the key and the overrides.

    Raises:
        TypeError: There is no such override.
        ConfigurationError: Settings are missing (all are named), a variable is wrong, or two contradict each other.
    """

    def variable(name: str, *, is_secret: bool = False) -> str | None:
        value = environ.get(f"WONDER_{name.upper()}") or ""
        return (value if is_secret and unquoted(value) else unquoted(value)) or None

    def is_set(name: str) -> bool:
        return settings[name] is not None and plain_text(settings[name]) != ""

    for name in sorted(overrides.keys() - Settings.__optional_keys__):
        near = get_close_matches(name, Settings.__optional_keys__, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"from_env() got an unexpected keyword argument {name!r}.{hint}")
    settings: dict[str, Any] = {name: variable(name) for name in _CHECKS}
    pem = file = None
    if "private_key" not in overrides:
        pem, file = variable("private_key", is_secret=True), variable("private_key_file")
        settings["private_key"] = pem or (Path(file) if file else None)
        settings["passphrase"] = variable("private_key_passphrase", is_secret=True)
    settings |= overrides
    required = {
        "WONDER_APP_ID": is_set("app_id"),
        "WONDER_PRIVATE_KEY (or WONDER_PRIVATE_KEY_FILE)": is_set("private_key"),
        "WONDER_PRIVATE_KEY or WONDER_PRIVATE_KEY_FILE, not both": not (pem and file),
        "WONDER_ENVIRONMENT (sandbox or production)": is_set("environment") or is_set("base_url"),
    }
    if not all(required.values()):
        missing = ", ".join(name for name, is_there in required.items() if not is_there)
        raise ConfigurationError(f"Set {missing} in the environment.", attempts=0)
    for name, check in _CHECKS.items():
        if name not in overrides and settings[name] is not None:
            settings[name] = check(settings[name], f"WONDER_{name.upper()}")
    return settings


def key_variable(private_key: object) -> str:
    """Return the name of the variable that `settings_from` took the private key from."""
    return "WONDER_PRIVATE_KEY_FILE" if isinstance(private_key, Path) else "WONDER_PRIVATE_KEY"
