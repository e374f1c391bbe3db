"""Commands that stand in a page: found as a shell finds them, and parsed as `vicl` parses them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from vicl.cli import main
from vicl.cli.tune import tune
from vicl.cli.tune_prompt import FOR_PROMPTS

_OPERATORS = frozenset(";&|()<>")
_LEFT_OUT = ("...", "…")


class CommandError(ValueError):
    """A command that cannot be typed as it stands; the message says what is wrong."""


def commands(code: str) -> Iterator[list[str]]:
    """The words of each simple command of a block: without comments, pipes, and what is set.

    Raises:
        CommandError: If a line's quotes do not close.
    """
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(_without_comment(line), posix=True, punctuation_chars=";&|()<>")
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            yield from _simple(list(lexer))
        except ValueError as error:
            raise CommandError(f"{line.strip()}: {error}") from error


def _simple(words: Sequence[str]) -> Iterator[list[str]]:
    found: list[str] = []
    skipped = False
    for word in (*words, ";"):
        if word and set(word) <= _OPERATORS:
            if set(word) <= {"<", ">"}:
                skipped = True  # the file that it is written to
                continue
            if found:
                yield found
            found = []
        elif skipped:
            skipped = False
        elif found or not re.fullmatch(r"\w+=.*", word):
            found.append(word)


def _without_comment(line: str) -> str:
    quote = ""
    for at, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "#" and (at == 0 or line[at - 1].isspace()):
            return line[:at]
    return line


def vicl_words(words: Sequence[str]) -> list[str] | None:
    """What `vicl` is called with in a command; None if the command calls something else."""
    if not words:
        return None
    if words[0] == "vicl":
        return list(words[1:])
    for at in range(1, len(words) - 1):  # python, torchrun, accelerate launch
        if words[at : at + 2] == ["-m", "vicl"]:
            return list(words[at + 2 :])
    return None


def found_command(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """The command that is called, and its own words.

    Raises:
        CommandError: If there is none of the name.
    """
    command: click.Command = main
    rest = list(words)
    while (inner := inner_commands(command)) and rest and not rest[0].startswith("-"):
        if rest[0] in inner:
            command = inner[rest.pop(0)]
        elif isinstance(command, click.Group):
            raise CommandError(f"vicl {' '.join(words)}: there is no command {rest[0]!r}")
        else:
            break
    return command, rest


def inner_commands(command: click.Command) -> dict[str, click.Command]:
    """The commands below one, by name: a group's, and those that `vicl tune` has beside itself."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        names = command.list_commands(context)
        found = ((name, command.get_command(context, name)) for name in names)
        return {name: inner for name, inner in found if inner is not None}
    return {str(one.name): one for one in FOR_PROMPTS} if command is tune else {}


def check_call(words: Sequence[str]) -> None:
    """Parse what `vicl` is called with; no file needs to exist.

    Raises:
        CommandError: If it is refused.
    """
    command, rest = found_command(words)
    kept = [word for word in rest if word not in _LEFT_OUT]
    try:
        with patch.object(click.Path, "convert", _any_path):
            command.make_context(str(command.name), kept).close()
    except click.exceptions.Exit:
        return  # --help, --version
    except click.ClickException as error:
        raise CommandError(f"vicl {' '.join(words)}: {error.format_message()}") from error


def check_mention(words: Sequence[str]) -> None:
    """Check what a sentence names in part: the command and its options.

    Raises:
        CommandError: If one is not there.
    """
    command, rest = found_command(words)
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    known |= {"--help", "-h", *(["--version"] if command is main else [])}
    for word in rest:
        option = word.partition("=")[0]
        named = re.fullmatch(r"-[a-zA-Z]|--[a-z][a-z-]*", option)
        if named and option not in known:
            raise CommandError(f"vicl {' '.join(words)}: there is no option {option}")


def _any_path(_: click.Path, value: Any, *__: object) -> Path:
    return Path(value)
