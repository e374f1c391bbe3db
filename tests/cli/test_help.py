"""What `--help` shows: every command ends with examples, which can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.cli.test_cli import vicl
from tests.prompting.test_prompter import scene

from vicl.cli import main
from vicl.cli.predict import predict
from vicl.exports.writers import OUTLINED
from vicl.images import save_image, to_pil


def commands(group: click.Group = main, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield *words, name


def lines(words: tuple[str, ...]) -> list[list[str]]:
    """The examples of a command's help, split as a shell does."""
    shown = CliRunner().invoke(main, [*words, "--help"]).stdout
    _, heading, examples = shown.partition("\n  Examples:\n")
    assert heading, f"{words} has no examples"
    joined = examples.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in joined if line.strip() and line.strip()[0] != "#"]


def called(line: list[str]) -> list[str]:
    """What `vicl` is called with in a line that may have pipes."""
    words = line[line.index("vicl") + 1 :]
    end = next((i for i, word in enumerate(words) if word in ("|", ">")), len(words))
    return words[:end]


def anything(_: click.Path, value: str, *__: object) -> Path:
    return Path(value)


@pytest.mark.parametrize("words", [*commands()], ids=" ".join)
def test_every_command_ends_with_examples_that_parse(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click.Path, "convert", anything)
    own = 0
    for line in lines(words):
        typed = called(line)
        command: click.Command | None = main
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), typed.pop(0))
        assert command is not None
        command.make_context(str(command.name), typed)  # refuses what is not known
        own += " ".join(called(line)).startswith(" ".join(words))
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
    for line in lines(("predict",)):
        listed = "photos/a.jpg\0photos/b.jpg\0" if "|" in line else None
        result = vicl(*called(line), stdin=listed)
        assert result.exit_code == 0, (line, result.stderr)
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
