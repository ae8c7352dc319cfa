"""Environment variables become the settings of a client."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from . import config
from .errors import ConfigurationError

# What checks each variable but those of the key, with its name for the message.
_CHECKS: dict[str, Callable[[object, str], object]] = {
    "app_id": config.checked_app_id,
    "environment": partial(config.checked_choice, choices=config.Environment),
    "base_url": config.checked_origin,
    "language": partial(config.checked_choice, choices=config.LANGUAGES),
}


def settings_from(environ: Mapping[str, str], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a client, from environment variables and their overrides.

    Whitespace and quotes around a variable are removed, except from a passphrase; an empty one counts as missing. An
    override replaces its variable; ``private_key`` also replaces the variable of the passphrase. All are checked here
    but the key and the overrides.

    Raises:
        TypeError: There is no such override.
        ConfigurationError: Settings are missing (all are named), a variable is wrong, or two contradict each other.
    """

    def variable(name: str) -> str | None:
        return config.unquoted(environ.get(f"WONDER_{name.upper()}") or "") or None

    for name in sorted(overrides.keys() - config.Settings.__optional_keys__):
        near = get_close_matches(name, config.Settings.__optional_keys__, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"from_env() got an unexpected keyword argument {name!r}.{hint}")
    settings: dict[str, Any] = {}
    for name, check in _CHECKS.items():
        value = None if name in overrides else variable(name)
        settings[name] = None if value is None else check(value, f"WONDER_{name.upper()}")
    if "private_key" not in overrides:
        key, file = variable("private_key"), variable("private_key_file")
        if key and file:
            raise ConfigurationError("Set WONDER_PRIVATE_KEY or WONDER_PRIVATE_KEY_FILE, not both.", attempts=0)
        settings["private_key"] = Path(file) if file else key
        settings["passphrase"] = environ.get("WONDER_PRIVATE_KEY_PASSPHRASE") or None
    settings |= overrides
    is_missing = {
        "WONDER_APP_ID": settings["app_id"] is None,
        "WONDER_PRIVATE_KEY (or WONDER_PRIVATE_KEY_FILE)": settings["private_key"] is None,
        "WONDER_ENVIRONMENT (sandbox or production)": settings["environment"] is None and settings["base_url"] is None,
    }
    missing = ", ".join(name for name in is_missing if is_missing[name])
    if missing:
        raise ConfigurationError(f"Set {missing} in the environment.", attempts=0)
    return settings


def key_variable(private_key: object) -> str:
    """Return the name of the variable that `settings_from` took the private key from."""
    return "WONDER_PRIVATE_KEY_FILE" if isinstance(private_key, Path) else "WONDER_PRIVATE_KEY"
