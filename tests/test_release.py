"""What a release is checked by."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from release import licences, package
from release.dependencies import ROOT, constrained, declared, extras, floorless, tools
from release.shipped import licence_of_card, photographs

PROJECT = """
[project]
dependencies = ["click>=8.1", "torch>=2.8"]
[project.optional-dependencies]
serve = ["fastapi>=0.115,<2", "click>=8.1"]
dev = ["fastapi==0.165.0", "pytest==9.2.0"]
"""


def test_extras_that_are_pinned_are_not_for_users() -> None:
    known = declared(PROJECT)
    assert extras(known) == ("serve",)
    assert [one.name for one in tools(known)] == ["pytest"]


def test_what_is_declared_here() -> None:
    known = declared()
    assert {"app", "ray", "train"} <= set(extras(known))
    assert "dev" not in extras(known)
    assert floorless(known) == []
    assert floorless(declared(PROJECT.replace(">=0.115,", ""))) == ["fastapi<2"]
    assert "torch" in str(constrained("torch"))
    with pytest.raises(ValueError, match="no line for vicl"):
        constrained("vicl")


def test_the_page_of_licences_is_current() -> None:
    text = licences.PAGE.read_text()
    assert "\n".join(licences.shipped()) in text, "run `make licences`"
    sections = re.split(r"^(?:## What vicl needs|### vicl\[(.+)\].*)$", text, flags=re.MULTILINE)
    told = {
        extra: {canonicalize_name(name) for name in re.findall(r"`([\w.-]+)`", body)}
        for extra, body in zip(sections[1::2], sections[2::2], strict=True)
    }
    known = declared()
    assert set(told) == {None, "dev", *extras(known)}, "run `make licences`"
    for extra, names in told.items():
        asked = {canonicalize_name(one.name) for one in known[extra]}
        assert asked <= names, f"{extra}: run `make licences`"


def test_what_a_package_needs_is_followed() -> None:
    found = licences.closure([Requirement("rich")])
    assert found["rich"].whose == ()
    assert found["mdurl"].whose == ("markdown-it-py",)
    assert found["mdurl"].licence == "MIT"


def test_licences_by_their_text() -> None:
    texts = {name: (ROOT / name).read_text() for name in ("src/vicl/photos/README.md", "LICENSE")}
    assert licences.of_text(texts["src/vicl/photos/README.md"]) == "BSD-3-Clause"
    assert licences.of_text(texts["LICENSE"]) is None


def test_whose_photographs_are() -> None:
    listed = (ROOT / "src/vicl/photos/README.md").read_text()
    found = {one.file: one for one in photographs(listed, ["dandelion_2.jpg", "cat_negative.jpg"])}
    assert found["dandelion_2.jpg"].licence == "CC0-1.0"
    assert found["dandelion_2.jpg"].author.startswith("Clemens Engelhardt")
    assert found["dandelion_2.jpg"].source.startswith("Debian lomiri-wallpapers")
    assert found["cat_negative.jpg"].author == "Stefan van der Walt"
    with pytest.raises(ValueError, match=r"says nothing of other\.jpg"):
        photographs(listed, ["other.jpg"])


def test_a_card_without_a_licence() -> None:
    assert licence_of_card("---\nlibrary_name: vicl\nlicense: mit\n---\n# x\n") == "mit"
    with pytest.raises(ValueError, match="license"):
        licence_of_card("---\nlibrary_name: vicl\n---\nlicense: mit\n")


class Made:
    """An environment that has click alone."""

    def output(self, *_words: Any) -> str:
        return json.dumps([{"name": "click"}])


def test_modules_may_lack_what_other_extras_bring() -> None:
    made: Any = Made()
    lacking = {"vicl.server.api": "fastapi"}
    assert package.unexpected(lacking, "base", made) == []
    assert package.unexpected(lacking, "all", made) == ["vicl.server.api lacks fastapi"]
    for missing in ("pytest", "numpy", "nothing_of_the_name"):
        assert package.unexpected({"vicl.canvas": missing}, "base", made)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="it is compared with what git has")
def test_a_wheel_that_lacks_a_file_of_gits_ends_it(tmp_path: Path) -> None:
    wheel = tmp_path / "vicl.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("vicl/commit.txt", "0123456789ab\n")
    with pytest.raises(SystemExit, match=r"vicl/__init__\.py"):
        package.check_contents(wheel)
