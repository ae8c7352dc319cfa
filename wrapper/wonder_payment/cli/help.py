"""The help pages: they wrap at whole words, name arguments plainly, and do not show the bounds of numbers."""

import textwrap
from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command with our help page."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return what follows the command's name in the usage line."""
        return ["[OPTIONS]", *_metavars(self)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        _write(self, ctx, formatter, [])


class Group(TyperGroup):
    """A group of commands with our help page."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return what follows the program's name in the usage line."""
        return ["[OPTIONS]", "COMMAND", "[ARGUMENTS]"]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        commands = [(name, command.get_short_help_str(limit=1000)) for name, command in self.commands.items()]
        _write(self, ctx, formatter, commands)


def _metavars(command: Any) -> list[str]:
    return [parameter.metavar for parameter in command.params if parameter.param_type_name == "argument"]


def _write(command: Any, ctx: Any, formatter: Any, commands: list[tuple[str, str]]) -> None:
    parameters = command.get_params(ctx)
    rows = {
        "Arguments": [(one.metavar, one.help) for one in parameters if one.param_type_name == "argument"],
        "Options": [_option(one) for one in parameters if one.param_type_name == "option"],
        "Commands": commands,
    }
    sections = [ctx.get_usage()]
    sections += [_wrapped(paragraph, formatter.width) for paragraph in command.help.split("\n\n")]
    sections += [f"{title}:\n{_table(pairs, formatter.width)}" for title, pairs in rows.items() if pairs]
    if command.epilog:
        sections.append(command.epilog)
    formatter.write("\n\n".join(sections) + "\n")


def _option(option: Any) -> tuple[str, str]:
    names = ", ".join(sorted(option.opts, key=len))
    if option.is_flag:
        return names, option.help
    default = "" if option.default is None else f" [default: {option.default}]"
    return f"{names} {option.metavar or option.name.upper()}", option.help + default


def _table(rows: list[tuple[str, str]], width: int) -> str:
    first = max(len(name) for name, _ in rows) + 4
    lines = [_wrapped(text, width, indent=" " * first) for _, text in rows]
    return "\n".join(f"  {name}".ljust(first) + text[first:] for (name, _), text in zip(rows, lines, strict=True))


def _wrapped(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
