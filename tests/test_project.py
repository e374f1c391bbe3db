"""What the repository's own files say: hooks, workflow, forms, citation, versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import vicl

ROOT = Path(__file__).resolve().parents[1]
FORMS = sorted(
    path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"
)


def parsed(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def test_hooks_are_what_make_lint_runs() -> None:
    recipe = re.search(r"^lint:.*\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    lines = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    (repository,) = parsed(".pre-commit-config.yaml")["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == lines
    for hook in repository["hooks"]:
        assert (hook["pass_filenames"], hook["always_run"]) == (False, True), hook["id"]


def test_the_workflow_runs_what_ci_runs_on_every_python() -> None:
    workflow = parsed(".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    assert (ROOT / ".ci/run").is_file()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    classified = [
        line.rpartition(" ")[2]
        for line in project["classifiers"]
        if re.search(r"Python :: 3\.\d+$", line)
    ]
    assert job["strategy"]["matrix"]["python"] == classified
    assert project["requires-python"] == f">={classified[0]}"
    used = [step["with"].get("python-version") for step in job["steps"] if "with" in step]
    assert "${{ matrix.python }}" in used


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_issue_forms(form: Path) -> None:
    said = yaml.safe_load(form.read_text())
    assert set(said) == {"name", "description", "labels", "body"}
    fields = [field for field in said["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} == {"textarea"}
    assert len({field["id"] for field in fields}) == len(fields)
    for field in fields:
        assert set(field["validations"]) == {"required"}
        assert set(field["attributes"]) <= {"label", "description", "render"}
    (doctor,) = [field for field in fields if "`vicl doctor`" in field["attributes"]["label"]]
    assert doctor["validations"]["required"] == (form.stem == "bug")


def test_there_is_a_form_for_faults() -> None:
    assert "bug" in {form.stem for form in FORMS}
    assert parsed(".github/ISSUE_TEMPLATE/config.yml") == {"blank_issues_enabled": False}


def test_the_citation() -> None:
    cited = parsed("CITATION.cff")
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(cited)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["license"] == project["license"]
    assert cited["keywords"] == project["keywords"]
    assert cited["version"] == vicl.__version__
    for work in (cited, *cited["references"]):
        assert all(set(a) in ({"name"}, {"family-names", "given-names"}) for a in work["authors"])


def test_the_map_of_the_house_has_every_floor_in_order() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (floors,) = [one["layers"] for one in linter["contracts"] if one["id"] == "floors"]
    text = (ROOT / "CONTRIBUTING.md").read_text().split("| floor |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    named = [re.sub(r"/$|\.py$", "", name) for row in rows for name in re.findall("`(.+?)`", row)]
    assert named == [*floors, "recipes", "weights", "photos"]  # the last hold data


def test_versions_are_semantic_and_the_changelog_knows_this_one() -> None:
    # Of semver.org; pip wants pre-releases spelled otherwise, so there are none.
    assert re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", vicl.__version__)
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert any(heading.split()[0].strip("[]") == vicl.__version__ for heading in headings)
