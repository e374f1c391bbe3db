"""Failing plainly: one line, an exit code, and a trace only where it is asked for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import vicl
from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, DEVICE, options


class OutOfMemoryError(RuntimeError):
    """Called as torch's."""


def failed(error: BaseException, *arguments: str, full: str | None = None) -> Result:
    @click.command()
    @options(DEVICE, DEBUG)
    def command(device: str, debug: bool) -> None:
        with failing(3, debug=debug, usage=(UnicodeError,), stopped="stopped; go on", full=full):
            raise error

    return CliRunner().invoke(command, list(arguments))


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ValueError("seed: got -1,\n  expected 0"), 3, "error: seed: got -1, expected 0\n"),
        (OSError(28, "No space left on device"), 3, "error: [Errno 28] No space left on device\n"),
        (UnicodeError("not text"), 2, "error: not text\n"),
        (KeyboardInterrupt(), 130, "error: stopped; go on\n"),
        (OutOfMemoryError("x"), 3, "error: the device's memory is full; take less\n"),
    ],
)
def test_one_line_and_a_code(error: BaseException, code: int, says: str) -> None:
    result = failed(error, full="take less")
    assert (result.exit_code, result.stderr, result.stdout) == (code, says, "")
    debug = failed(error, "--debug", full="take less")
    assert debug.exit_code == code
    assert debug.stderr.startswith(says)
    assert "Traceback" in debug.stderr


@pytest.mark.parametrize("error", [RuntimeError("shapes"), TypeError("fault"), OutOfMemoryError()])
def test_a_fault_of_the_program_is_not_hidden(error: Exception) -> None:
    assert failed(error).exception is error


def test_wrong_usage_is_clicks_own() -> None:
    result = failed(click.UsageError("give a QUERY"))
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "Error: give a QUERY" in result.stderr


def test_shared_options_stand_in_the_order_of_the_decorators() -> None:
    @click.command()
    @click.option("--first")
    @options(DEVICE, DEBUG)
    @click.option("--last")
    def command(**_: object) -> None: ...

    assert [option.name for option in command.params] == ["first", "device", "debug", "last"]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "say so with classes={'name': 3} or classes={'name': 'red'} (command line: --classes "
            "name=3 or --classes name=red)",
            "say so with --classes name=3 or --classes name=red",
        ),
        ("go on by resume=True (command line: --skip-existing)", "go on by --skip-existing"),
        (
            "say task='a' or task='b' (command line: --task a or --task b)",
            "say --task a or --task b",
        ),
        (
            "give heads=(encoder, decoder) (command line: --heads E D), or stop",
            "give --heads E D, or stop",
        ),
        (
            "the photograph first (command line: --example IN OUT)",
            "the photograph first (--example IN OUT)",
        ),
        ("a\x1b[2J\u2028b\x00", r"a\x1b[2J b\x00"),
    ],
)
def test_what_is_told_is_one_line_in_the_command_lines_words(message: str, told: str) -> None:
    assert failed(ValueError(message)).stderr == f"error: {told}\n"


def test_errors_that_name_an_argument_name_its_option_too() -> None:
    """An argument such as `resume=True` in an error's text is followed by what to type instead."""
    package = Path(vicl.__file__).parent
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Raise):
                continue
            parts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
            text = "".join(part for part in parts if isinstance(part, str))
            if re.search(r"\b[a-z_]+=(True|False|None|\.\.\.)", text):
                assert "command line: " in text, (file.name, text)
