"""What `--help` shows: every command ends with examples, which can be typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.cli.test_cli import vicl
from tests.prompting.test_prompter import scene

from making.commands import check_call, commands, inner_commands, vicl_words
from vicl.cli import main
from vicl.cli.predict import predict
from vicl.exports.writers import OUTLINED
from vicl.images import save_image, to_pil


def every_command(
    command: click.Command = main, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """What calls each command that is no group."""
    if not isinstance(command, click.Group):
        yield words
    for name, inner in inner_commands(command).items():
        yield from every_command(inner, (*words, name))


def example_lines(words: tuple[str, ...]) -> list[list[list[str]]]:
    """The commands of each line of a command's examples."""
    shown = CliRunner().invoke(main, [*words, "--help"]).stdout
    _, heading, examples = shown.partition("\n  Examples:\n")
    assert heading, f"{words} has no examples"
    lines = examples.replace("\\\n", " ").splitlines()
    return [found for line in lines if (found := list(commands(line)))]


@pytest.mark.parametrize("words", [*every_command()], ids=" ".join)
def test_every_command_ends_with_examples_that_parse(words: tuple[str, ...]) -> None:
    own = 0
    for line in example_lines(words):
        (typed,) = [called for found in line if (called := vicl_words(found)) is not None]
        check_call(typed)  # refuses what is not known
        own += tuple(typed[: len(words)]) == words
    assert own


@pytest.mark.slow
def test_the_examples_of_predict_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image, mask = scene(90, (120, 160))
    save_image(to_pil(image), "dog.jpg")
    Image.fromarray(mask).save("dog_mask.png")
    classes = mask.astype(np.uint8)
    classes[classes == 0] = 2
    Image.fromarray(classes).save("dog_classes.png")
    for name in ("cat.jpg", "photos/a.jpg", "photos/b.jpg"):
        save_image(to_pil(scene(3)[0]), name)
    for number in range(4):
        shown, marked = scene(number)
        save_image(to_pil(shown), f"labelled/images/{number}.png")
        save_image(Image.fromarray(marked), f"labelled/masks/{number}.png")
    for *before, call in example_lines(("predict",)):
        listed = "photos/a.jpg\0photos/b.jpg\0" if before else None
        typed = vicl_words(call)
        assert typed is not None, call
        result = vicl(*typed, stdin=listed)
        assert result.exit_code == 0, (call, result.stderr)
    for name in ("cat_mask.png", "labels/a.json", "labels/a.overlay.png", "dog.vicl", "dogs.json"):
        assert Path(name).is_file(), name


def test_exit_codes_stand_in_the_help() -> None:
    for words in ([], ["predict"], ["train"], ["evaluate", "shapes"]):
        shown = " ".join(CliRunner().invoke(main, [*words, "--help"]).stdout.split())
        assert "exit code is 0" in shown
        assert "130 after Ctrl-C" in shown


def test_formats_with_outlines_are_those_of_the_writers() -> None:
    (tolerance,) = (option for option in predict.params if option.name == "tolerance")
    assert isinstance(tolerance, click.Option)
    assert str(tolerance.help).startswith(f"{', '.join(OUTLINED)}: ")


def test_every_option_says_what_it_is_for() -> None:
    def silent(command: click.Command, words: str) -> Iterator[str]:
        for param in command.params:
            if isinstance(param, click.Option) and not param.help:
                yield f"{words} {param.opts[0]}"
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from silent(inner, f"{words} {name}")

    assert list(silent(main, "vicl")) == []


def test_a_wrong_command_is_told_those_that_there_are() -> None:
    result = CliRunner().invoke(main, ["paint", "a.jpg"])
    assert result.exit_code == 2
    expected = "no command 'paint'; expected one of predict, segment, colorize, app, serve, "
    assert expected in result.stderr
