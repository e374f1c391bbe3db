"""Settings as options."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import click
import pytest
from click.testing import CliRunner

from vicl.cli.options import options
from vicl.cli.settings import SAMPLING, SETTINGS, settings_of
from vicl.engine import Sampling
from vicl.images.upsampling import Upsampling
from vicl.prompting.fusing import FUSIONS
from vicl.prompting.settings import PromptSettings


def given(*arguments: str) -> dict[str, Any]:
    @click.command()
    @options(*SETTINGS)
    def command(**found: Any) -> dict[str, Any]:
        return settings_of(found)

    found: dict[str, Any] = command.main(list(arguments), standalone_mode=False)
    return found


def test_what_is_not_given_is_left_to_the_prompt_file() -> None:
    assert given() == {}
    assert given("--seed", "0") == {"seed": 0}


def test_a_setting_by_its_name() -> None:
    found = given("--samples", "3", "--tile", "64", "--upsampling", "bicubic", "--seed", "7")
    assert found == {"samples": 3, "tile": 64, "upsampling": "bicubic", "seed": 7}
    assert given("--tile", "whole") == {"tile": "whole"}
    canvases = given(
        *("--arrangements", "8", "--fuse", "max", "--spins", "2", "--examples-per-canvas", "1")
    )
    assert canvases == {"arrangements": 8, "fuse": "max", "spins": 2, "examples_per_canvas": 1}
    assert PromptSettings.of(canvases).arrangements == tuple(range(1, 9))


def test_every_option_is_a_setting() -> None:
    names = {option.name for option in SETTINGS} - {option.name for option in SAMPLING}
    assert names == PromptSettings.model_fields.keys() - {"sampling", "layout", "fit"}
    assert {option.name for option in SAMPLING} == {field.name for field in fields(Sampling)}


def test_choices_are_those_of_the_settings() -> None:
    chosen = {o.name: o.type.choices for o in SETTINGS if isinstance(o.type, click.Choice)}
    assert tuple(chosen["fuse"]) == FUSIONS
    assert set(chosen["upsampling"]) == set(get_args(Upsampling))


def test_sampling_is_one_setting() -> None:
    assert given("--top-k", "5", "--coherent") == {"sampling": Sampling(top_k=5, coherent=True)}
    assert given("--temperature", "0.5") == {"sampling": Sampling(temperature=0.5)}


@pytest.mark.parametrize(
    "arguments", [("--tile", "15"), ("--tile", "-3"), ("--tile", "all"), ("--seed", "-1")]
)
def test_what_cannot_be_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    @click.command()
    @options(*SETTINGS)
    def command(**_: Any) -> None: ...

    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code == 2
    assert arguments[1] in result.stderr
