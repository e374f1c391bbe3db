"""Settings as options."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from vicl.cli.options import options
from vicl.cli.settings import SETTINGS, settings_of
from vicl.engine import Sampling


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
