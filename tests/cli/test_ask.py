"""`vicl ask`, and what it says of a model's licence."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.adapters import talking, tiny
from tests.adapters.bodies import library
from tests.cli.test_cli import vicl
from tests.cli.test_segment import draw

from vicl.images import save_image
from vicl.storage.cards import NO_LICENCE, stated_licence

EXAMPLES = ("--example", "a.png", "a disc", "--example", "b.png", "a dog")
CHOICES = ("--choices", 'a disc,a dog,"a cat, or none"')


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    library()
    folder = tmp_path_factory.mktemp("ask") / "smolvlm"
    talking.save("smolvlm", folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A card\n")
    return str(folder)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for at, name in enumerate(("a.png", "b.png", "photos/c.png", "photos/d.png")):
        save_image(draw(at)[0], name)
    Path("photos/broken.png").write_bytes(b"no picture")
    return tmp_path


def rows(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_folder_is_answered_and_a_broken_photo_is_skipped(photos: Path, model: str) -> None:
    asked = ("ask", "photos", *EXAMPLES, *CHOICES, "--model", model, "-o", "out.jsonl")
    result = vicl(*asked)
    assert result.exit_code == 1
    assert "error: photos/broken.png" in result.stderr
    assert "2 answered, 1 failed" in result.stderr
    lines = result.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["photos/c.png", "photos/d.png"]
    first, *answers = rows("out.jsonl")
    assert [row["query"] for row in answers] == ["photos/c.png", "photos/d.png"]
    chances = answers[0]["choices"]
    assert isinstance(chances, dict)
    assert [*chances] == ["a disc", "a dog", "a cat, or none"]
    assert sum(chances.values()) == pytest.approx(1)
    assert answers[0]["answer"] == max(chances, key=lambda choice: chances[choice])
    digest = hashlib.sha256(Path("photos/c.png").read_bytes()).hexdigest()
    assert answers[0]["sha256"] == digest
    weights = hashlib.sha256((Path(model) / "model.safetensors").read_bytes()).hexdigest()
    assert f"smolvlm: licence: apache-2.0; weights sha256 {weights}" in result.stderr
    made_by = first["made_by"]
    assert isinstance(made_by, dict)
    assert made_by["model"] == {"weights": weights}


def test_a_stopped_run_goes_on_and_mixes_nothing(photos: Path, model: str) -> None:
    Path("photos/broken.png").unlink()
    asked = ("ask", *EXAMPLES, *CHOICES, "--model", model, "-o", "out.jsonl")
    assert vicl(*asked, "photos/c.png").exit_code == 0
    whole = Path("out.jsonl").read_bytes()
    Path("out.jsonl").write_bytes(whole + b'{"name": "d.png", "sha2')  # as a kill leaves it
    assert vicl(*asked, "photos/c.png", "photos/d.png").exit_code == 2
    result = vicl(*asked, "photos/c.png", "photos/d.png", "--skip-existing")
    assert result.exit_code == 0
    assert "1 answered, 1 skipped" in result.stderr
    assert [row.get("name") for row in rows("out.jsonl")] == [None, "c.png", "d.png"]
    other = vicl(*asked, "photos/c.png", "--question", "What?", "--skip-existing")
    assert other.exit_code == 2
    assert "made with other question" in other.stderr
    before = Path("photos/c.png").read_bytes()
    save_image(draw(7)[0], "photos/c.png")  # another picture of the name
    again = vicl(*asked, "photos/c.png", "photos/d.png", "--skip-existing")
    assert "1 answered, 1 skipped" in again.stderr
    Path("photos/c.png").write_bytes(before)  # the last answer counts, and is of the other one
    again = vicl(*asked, "photos/c.png", "photos/d.png", "--skip-existing")
    assert "1 answered, 1 skipped" in again.stderr
    Path("out.jsonl").write_text("[1, 2]\n{}\n")
    assert "line 1 is not as vicl ask" in vicl(*asked, "photos/c.png", "--skip-existing").stderr
    assert vicl(*asked, "photos/c.png", "--overwrite").exit_code == 0
    assert len(rows("out.jsonl")) == 2


def test_words_are_printed_as_json_and_the_seed_decides_what_is_drawn(
    photos: Path, model: str
) -> None:
    asked = ("ask", "photos/c.png", "--question", "What?", "--model", model, "--json")
    drawn = (*asked, "--temperature", "9", "--max-tokens", "4")
    first = vicl(*drawn, "--seed", "1")
    assert json.loads(first.stdout).keys() == {"query", "answer"}
    assert vicl(*drawn, "--seed", "1").stdout == first.stdout
    assert len({vicl(*drawn, "--seed", str(seed)).stdout for seed in range(3)}) > 1


def test_every_command_shows_the_licence_of_what_it_loads(photos: Path) -> None:
    library()
    tiny.save("clipseg", Path("clipseg"))
    Path("clipseg/README.md").write_text("---\nlicense: apache-2.0\n---\n")
    asked = ("segment", "a.png", "--text", "a", "--model", "clipseg", "-o", "mask.png")
    told = vicl(*asked).stderr
    assert told.count("clipseg: licence: apache-2.0; weights sha256 ") == 1
    Path("clipseg/README.md").unlink()
    assert "clipseg: licence: no licence stated; weights" in vicl(*asked, "--overwrite").stderr
    assert "licence" not in vicl("segment", "a.png", "--point", "9,9", "-o", "m.png").stderr


def test_what_the_docs_say_to_type_works(photos: Path, model: str) -> None:
    Path("photos/broken.png").unlink()
    docs = Path(__file__).parents[2] / "docs" / "asking.md"
    lines = [line for line in docs.read_text().splitlines() if line.startswith("vicl ask")]
    assert len(lines) == 5
    for line in lines:
        here = line.replace(".jpg", ".png").replace("test/", "photos")
        words = shlex.split(here.replace("hub:HuggingFaceTB/SmolVLM-Instruct", model))
        result = vicl(*words[1:], "--max-tokens", "2")
        assert result.exit_code == 0, (line, result.stderr)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "give --model FOLDER or --model hub:owner/name"),
        (("--model", "m"), "give --example IMAGE ANSWER"),
        (("--model", "m", "--question", "a"), "got 'm', expected its folder"),
        (("--model", "m", "--question", "a", "--skip-existing"), "go with --output"),
        (("--model", "m", "--question", "a", "-o", "o.json"), "ends with .jsonl"),
        (("--model", "m", "--question", "a", "--choices", "a,b", "--temperature", "1"), "drawn"),
    ],
)
def test_what_goes_not_together_is_said_first(
    given: Sequence[str], said: str, photos: Path
) -> None:
    result = vicl("ask", "photos/c.png", *given)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\r\nlicense:\r\n- a\r\n- b\r\n---\r\n# x", "a, b"),
        ("---\nlicense: other\nlicense_name: own\nlicense_link: https://x.y\n---\n", None),
        ("# no head\nlicense: mit\n", NO_LICENCE),
        ("---\nlicense: &a mit\nb: *a\n---\n", NO_LICENCE),
        ("---\nlicense: !!python/object:os.system x\n---\n", NO_LICENCE),
        ("---\nlicense: mit\n", NO_LICENCE),
        ("---\n- mit\n---\n", NO_LICENCE),
        ("---\nlicense: ''\n---\n", NO_LICENCE),
        ("---\nx: " + "y" * (1 << 17) + "\nlicense: mit\n---\n", NO_LICENCE),
    ],
)
def test_licences_are_read_from_the_head_of_a_card(
    card: str, said: str | None, tmp_path: Path
) -> None:
    assert stated_licence(tmp_path) == NO_LICENCE
    (tmp_path / "README.md").write_bytes(card.encode())
    assert stated_licence(tmp_path) == (said or "other, own, https://x.y")


def test_a_licence_stays_one_line(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text('---\nlicense: "a\\n\\e[31mb' + "c" * 999 + '"\n---\n')
    found = stated_licence(tmp_path)
    assert found.isprintable()
    assert len(found) == 300
