"""The command line: what a person types, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click import Choice
from click.testing import CliRunner, Result
from PIL import Image
from tests.prompting.test_prompter import scene
from torch import nn

from vicl.cli import main
from vicl.cli.predict import predict
from vicl.exports.writers import FORMATS
from vicl.images import save_image, to_pil
from vicl.prompting.prompter import VisualPrompter


def vicl(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


SEGMENT = ("predict", "--example", "in.png", "out.png", "--task", "segmentation")
COPY = (*SEGMENT, "--model", "copy")


def test_one_query_to_one_file(work: Path) -> None:
    result = vicl(*SEGMENT, "q/a.png", "-o", "answer.png")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "answer.png\n"
    answer = pixels("answer.png")
    mask = scene(1)[1]
    assert set(np.unique(answer)) <= {0, 255}
    overlap = (answer > 0) & mask
    assert overlap.sum() / ((answer > 0) | mask).sum() > 0.5


def test_a_folder_keeps_its_structure(work: Path) -> None:
    result = vicl(*COPY, "q", "-o", "answers")
    assert result.exit_code == 0, result.stderr
    found = sorted(p.relative_to("answers").as_posix() for p in Path("answers").rglob("*.png"))
    assert found == ["a.png", "b.png", "sub/c.png"]
    assert "3 answered" in result.stderr


def test_a_broken_image_is_reported_and_the_others_stay(work: Path) -> None:
    Path("q/bad.png").write_bytes(b"broken")
    result = vicl(*COPY, "q", "missing.png", "-o", "answers")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 2
    assert "q/bad.png" in errors[0]
    assert "missing.png" in errors[1]
    assert len(list(Path("answers").rglob("*.png"))) == 3
    assert "3 answered, 2 failed" in result.stderr


def test_existing_outputs_need_a_flag(work: Path) -> None:
    vicl(*COPY, "q/a.png", "-o", "answers/")
    first = Path("answers/a.png")
    first.write_bytes(b"annotated by hand")
    refused = vicl(*COPY, "q", "-o", "answers")
    assert refused.exit_code == 2
    assert "--skip-existing" in refused.stderr
    assert first.read_bytes() == b"annotated by hand"
    skipped = vicl(*COPY, "q", "-o", "answers", "--skip-existing")
    assert skipped.exit_code == 0
    assert "2 answered, 1 skipped" in skipped.stderr
    assert first.read_bytes() == b"annotated by hand"
    vicl(*COPY, "q", "-o", "answers", "--overwrite")
    assert pixels(first).shape == (30, 40)


def test_inputs_are_never_overwritten(work: Path) -> None:
    inputs = [Path(name) for name in ("q/a.png", "q/sub/c.png", "in.png", "out.png")]
    before = [path.read_bytes() for path in inputs]
    for query, output in (("q/a.png", "q/a.png"), ("q", "q"), ("q/a.png", "in.png")):
        result = vicl(*COPY, query, "-o", output, "--overwrite")
        assert result.exit_code == 2
        assert "one of the inputs" in result.stderr
        assert [path.read_bytes() for path in inputs] == before


def test_queries_that_differ_by_their_suffix_keep_it(work: Path) -> None:
    save_image(to_pil(scene(4)[0]), "q/b.png")
    assert vicl(*COPY, "q", "-o", "answers").exit_code == 0
    written = {path.name for path in Path("answers").iterdir()}
    assert {"a.png", "b.png.png", "b.jpg.png"} <= written


def test_queries_by_glob_and_from_standard_input(work: Path) -> None:
    assert vicl(*COPY, "q/*.png", "-o", "one").exit_code == 0
    assert [p.name for p in Path("one").glob("[!.]*")] == ["a.png"]
    assert vicl(*COPY, "-", "-o", "two", stdin="q/a.png\nq/sub/c.png\n").exit_code == 0
    assert sorted(p.name for p in Path("two").glob("[!.]*")) == ["a.png", "c.png"]
    nothing = vicl(*COPY, "q/*.tif", "-o", "three")
    assert nothing.exit_code == 2
    assert "no file matches" in nothing.stderr


def test_json_has_one_object_a_query(work: Path) -> None:
    result = vicl(*SEGMENT, "q", "--json")
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(row["query"]).name for row in rows] == ["a.png", "b.jpg", "c.png"]
    for row in rows:
        assert row["size"] == [30, 40]
        assert 0 < row["area"]["object"] < 1


def test_every_box_on_request(work: Path) -> None:
    two = np.zeros((30, 40), np.uint8)
    two[2:8, 2:8] = two[12:28, 15:35] = 255
    Image.fromarray(two).save("two.png")
    ask = ("predict", "--example", "in.png", "two.png", "--task", "detection", "--model", "copy")
    for more, count in (((), 1), (("--boxes", "largest"), 1), (("--boxes", "all"), 2)):
        result = vicl(*ask, *more, "q/a.png", "--json")
        assert result.exit_code == 0, result.stderr
        assert len(json.loads(result.stdout)["boxes"]) == count
    assert vicl(*ask, "--boxes", "all", "--save-prompt", "p.vicl").exit_code == 0
    kept = vicl("predict", "q/a.png", "--prompt", "p.vicl", "--json")
    assert len(json.loads(kept.stdout)["boxes"]) == 2
    again = vicl("predict", "q/a.png", "--prompt", "p.vicl", "--boxes", "all", "--json")
    assert again.exit_code == 2
    assert "in the prompt file already" in again.stderr
    assert "only detection" in vicl(*SEGMENT, "--boxes", "all", "q", "--json").stderr


def test_class_names_with_commas(work: Path) -> None:
    result = vicl(*SEGMENT, "--classes", '"leaf, green"=1', "q/a.png", "--json")
    assert result.exit_code == 0, result.stderr
    assert list(json.loads(result.stdout)["area"]) == ["leaf, green"]


def test_prompt_files(work: Path) -> None:
    saved = vicl(*COPY, "--save-prompt", "p.vicl")
    assert saved.exit_code == 0, saved.stderr
    used = vicl("predict", "q", "--prompt", "p.vicl", "-o", "answers")
    assert used.exit_code == 0, used.stderr
    assert len(list(Path("answers").rglob("*.png"))) == 3
    assert vicl(*COPY, "--save-prompt", "p.vicl").exit_code == 2
    other = vicl("predict", "q", "--prompt", "p.vicl", "--model", "identity", "-o", "x")
    assert other.exit_code == 2
    assert "--any-model" in other.stderr


def test_settings_reach_the_answer_and_the_prompt_file(work: Path) -> None:
    default = (*SEGMENT, "--model", "default", "q/a.png")
    several = ("--arrangements", "3", "--fuse", "probabilities", "--spins", "1", "--agree", "0.01")
    result = vicl(*default, *several, "-o", "a.png", "--save-prompt", "p.vicl", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)["views"]  # of the three two agree so much, surely
    assert [(view["examples"], view["arrangement"]) for view in told] == [([0], 1), ([0], 2)]
    prompter = VisualPrompter.load("p.vicl")
    assert prompter.settings.arrangements == (1, 2, 3)
    assert prompter.settings.fuse == "probabilities"
    assert prompter.settings.agree == 0.01
    expected = prompter.predict("q/a.png").mask
    assert expected is not None
    assert np.array_equal(pixels("a.png"), expected * 255)
    refused = vicl(*COPY, "q/a.png", *several, "-o", "b.png")
    assert refused.exit_code == 2
    assert "has no canvas" in refused.stderr


def test_the_type_of_arithmetic_reaches_the_engine_and_the_prompt_file(work: Path) -> None:
    given = (*SEGMENT, "--model", "default", "--dtype", "bfloat16")
    assert vicl(*given, "--save-prompt", "p.vicl").exit_code == 0
    prompter = VisualPrompter.load("p.vicl")
    assert prompter.dtype == "bfloat16"
    assert isinstance(prompter.model, nn.Module)
    assert {weights.dtype for weights in prompter.model.parameters()} == {torch.bfloat16}
    refused = vicl("predict", "q/a.png", "--prompt", "p.vicl", "--dtype", "float32", "-o", "a.png")
    assert refused.exit_code == 2
    assert "--dtype are in the prompt file" in refused.stderr


def test_contact_sheet_and_canvas(work: Path) -> None:
    result = vicl(*COPY, "q", "-o", "answers", "--canvas", "--contact-sheet", "sheet.png")
    assert result.exit_code == 0, result.stderr
    assert pixels("sheet.png").shape[0] > 400
    assert pixels("answers/sub/c.canvas.png").shape == (448, 448, 3)


@pytest.mark.parametrize("format_", ["yolo", "yolo-boxes", "labelme"])
def test_formats_with_a_file_an_image(work: Path, format_: str) -> None:
    result = vicl(*COPY, "q", "-o", "answers", "--format", format_)
    assert result.exit_code == 0, result.stderr
    suffix = "json" if format_ == "labelme" else "txt"
    target = Path(f"answers/sub/c.{suffix}")
    if format_ == "labelme":
        record = json.loads(target.read_text())
        assert (target.parent / record["imagePath"]).resolve() == Path("q/sub/c.png").resolve()
        assert record["shapes"][0]["label"] == "object"
    else:
        assert len(target.read_text().split()) == (5 if format_ == "yolo-boxes" else 9)


def test_coco_can_be_resumed(work: Path) -> None:
    coco = (*COPY, "--format", "coco", "-o", "all.json")
    assert vicl(*coco, "q/a.png").exit_code == 0
    assert vicl(*coco, "q").exit_code == 2
    resumed = vicl(*coco, "q", "--skip-existing")
    assert resumed.exit_code == 0, resumed.stderr
    dataset = json.loads(Path("all.json").read_text())
    assert sorted(i["file_name"] for i in dataset["images"]) == ["a.png", "b.jpg", "sub/c.png"]
    assert len(dataset["annotations"]) == 3


def test_several_classes_write_an_index_mask_and_its_label_map(work: Path) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[:, :20], mask[:10] = 1, 2
    Image.fromarray(mask).save("two.png")
    result = vicl(
        "predict", "q/a.png", "--example", "in.png", "two.png", "--task", "segmentation",
        "--classes", "left=1,top=2", "--model", "copy", "-o", "answers",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels("answers/a.png"), mask)
    labels = json.loads(Path("answers/labels.json").read_text())
    assert labels == {"0": "background", "1": "left", "2": "top"}


@pytest.fixture
def second(work: Path) -> tuple[str, ...]:
    """A further example, as options."""
    image, mask = scene(91)
    save_image(to_pil(image), "in2.png")
    Image.fromarray(mask).save("out2.png")
    return ("--example", "in2.png", "out2.png")


def test_expected_score_is_reported_where_it_is_asked_for(second: tuple[str, ...]) -> None:
    result = vicl(*COPY, *second, "q/a.png", "-o", "a.png", "--expected-score")
    assert result.exit_code == 0, result.stderr
    assert "expected on your images: IoU" in result.stderr
    assert "leaving one out of 2" in result.stderr
    assert Path("a.png").is_file()
    alone = vicl(*COPY, *second, "--expected-score")
    assert (alone.exit_code, alone.stdout) == (0, "")
    assert "expected on your images: IoU" in alone.stderr


def test_it_chooses_by_itself_among_what_is_not_given(second: tuple[str, ...]) -> None:
    result = vicl(*COPY, *second, "q/a.png", "-o", "a.png", "--auto", "60s")
    assert result.exit_code == 0, result.output
    tried, chosen, _ = result.stderr.splitlines()
    assert tried.startswith("tried copy: ")
    assert chosen == f"chosen by IoU, leaving one out: {tried.removeprefix('tried ')}"
    again = vicl("predict", "q/a.png", "--prompt", "p.vicl", "-o", "b.png", "--auto", "60s")
    assert again.exit_code == 2
    assert "--prompt has its choice made" in again.stderr
    assert "got '5', expected a time" in vicl(*COPY, "q/a.png", "-o", "c", "--auto", "5").stderr


def test_vectors_stand_for_the_examples(work: Path) -> None:
    alone = vicl("predict", "q/a.png", "--vectors", "nowhere", "-o", "a.png")
    assert (alone.exit_code, "nowhere: no such file" in alone.stderr) == (2, True)
    both = vicl(*COPY, "--vectors", "nowhere", "q/a.png", "-o", "a.png")
    assert "--vectors stands for the examples" in both.stderr
    again = vicl(*COPY, "q/a.png", "-o", "a/", "--auto", "9s", "--skip-existing")
    assert "save what it chose by --save-prompt" in again.stderr


def test_expected_score_of_one_example_is_refused(work: Path) -> None:
    result = vicl(*COPY, "q/a.png", "-o", "a.png", "--expected-score")
    assert result.exit_code == 2
    assert "give two or more" in result.stderr
    assert not Path("a.png").exists()


def test_expected_score_is_not_computed_unasked(
    second: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed(_: VisualPrompter) -> None:
        raise AssertionError

    monkeypatch.setattr(VisualPrompter, "expected_score", computed)
    arguments = (*COPY, *second, "q/a.png", "-o", "a.png")
    assert vicl(*arguments).exit_code == 0
    assert isinstance(vicl(*arguments, "--overwrite", "--expected-score").exception, AssertionError)


def test_ctrl_c_says_how_to_go_on(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(VisualPrompter, "map", stopped)
    result = vicl(*COPY, "q/a.png", "-o", "a.png")
    assert result.exit_code == 130
    assert result.stderr == "error: stopped: 0 answered; go on with --skip-existing\n"


def test_formats_are_those_of_the_writers() -> None:
    (chosen,) = [option.type for option in predict.params if option.name == "format_"]
    assert isinstance(chosen, Choice)
    assert tuple(chosen.choices) == FORMATS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("predict", "q/a.png", "-o", "x.png"), "--example"),
        ((*COPY, "-o", "x.png"), "QUERY"),
        ((*COPY, "q/a.png"), "--output"),
        ((*COPY, "q/a.png", "-o", "x.png", "--skip-existing", "--overwrite"), "contradict"),
        ((*COPY, "q/a.png", "-o", "x.png", "--any-model"), "--prompt"),
        ((*COPY, "q/a.png", "-o", "x.png", "--device", "cuda"), "CPU"),
        ((*COPY, "q/a.png", "-o", "x.png", "--samples", "0"), "samples"),
        ((*COPY[:-2], "--model", "none", "q/a.png", "-o", "x.png"), "expected one of"),
        (("predict", "--example", "in.png", "in.png", "--task", "image", "q/a.png", "-o", "x",
          "--format", "coco"), "pictures"),
        (("predict", "--example", "in.png", "gone.png", "q/a.png", "-o", "x.png"), "gone.png"),
        ((*COPY, "q/a.png", "-o", "x.txt"), ".txt"),
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_two_or_fails(
    work: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = vicl(*arguments)
    assert result.exit_code in (1, 2)
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_limit_pixels(work: Path) -> None:
    result = vicl(*COPY, "q/a.png", "-o", "x.png", "--limit-pixels", "100")
    assert result.exit_code == 2  # the example itself is over the limit
    assert "--limit-pixels" in result.stderr


def test_debug_shows_the_trace(work: Path) -> None:
    Path("bad.png").write_bytes(b"broken")
    assert "Traceback" in vicl(*COPY, "bad.png", "-o", "x.png", "--debug").stderr
    assert "Traceback" not in vicl(*COPY, "bad.png", "-o", "y.png").stderr


def test_models_and_doctor() -> None:
    listed = vicl("models")
    assert "chosen for: " in listed.stdout
    rows = [json.loads(line) for line in vicl("models", "--json").stdout.splitlines()]
    assert {row["name"] for row in rows} >= {"default", "analogies", "copy", "identity"}
    report = json.loads(vicl("doctor", "--json").stdout)
    assert report["packages"]["torch"]
    assert report["extras"]["coco"].startswith("pycocotools")
    assert "cpu" in vicl("doctor").stdout


def test_a_failed_query_has_its_row_of_json(work: Path) -> None:
    result = vicl(*COPY, "nope.png", "q/a.png", "--json")
    assert result.exit_code == 1
    failed, answered = (json.loads(line) for line in result.stdout.splitlines())
    assert failed["query"] == "nope.png"
    assert "no such file" in failed["error"]
    assert answered["query"] == "q/a.png"
