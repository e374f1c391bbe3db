"""The benchmarks run from their own command lines, on a few episodes."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.models.kinds import tiny
from tests.prompting.test_prompter import scene
from torch import Tensor

from default_model_report import Part, Row, best_for_task
from matching import boundary_f, object_f1
from reconstruction import reconstruction_iou, reconstruction_psnr
from vicl.evaluation.datasets import manifest
from vicl.evaluation.datasets.manifests import FRACTION
from vicl.evaluation.episodes import DatasetError
from vicl.evaluation.scoring.measures import Metric
from vicl.images import save_image, to_pil
from vicl.metrics import Interval
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.models.pretrained import save_folder
from yardsticks import clustered, expected_cut, prior

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a script here, in a tenth of a process's time: what it says as it refuses."""

    def called(script: str, *arguments: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
        assert ended.value.code == 2
        return capsys.readouterr().err

    return called


@pytest.mark.slow
def test_startup() -> None:
    done = run("startup.py", "--runs", "1")
    assert done.returncode == 0, done.stderr
    assert "import torch" in done.stdout
    assert "vicl predict, segmentation" in done.stdout


@pytest.mark.slow
def test_resolution(shared: Path) -> None:
    done = run("resolution.py", "--data", shared / "data", "--count", "1", "--engine", "identity")
    assert done.returncode == 0, done.stderr
    assert "guided" in done.stdout


@pytest.mark.slow
def test_figures() -> None:
    done = run("figures.py", "--papers", "2", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert "assembled 2" in done.stdout


@pytest.mark.slow
def test_large_photographs() -> None:
    done = run("large_photographs.py", "--megapixels", "0.1")
    assert done.returncode == 0, done.stderr
    assert "peak MiB" in done.stdout


@pytest.mark.slow
def test_reliability(shared: Path) -> None:
    done = run("reliability.py", "--data", shared / "data", "--pairs", "1")
    assert done.returncode == 0, done.stderr
    assert "noise" in done.stdout


@pytest.mark.slow
def test_human_edges(shared: Path) -> None:
    done = run("human_edges.py", "--data", shared / "data", "--images", "4")
    assert done.returncode == 0, done.stderr
    assert "4 images" in done.stdout
    value = float(done.stdout.split("F ")[1].split()[0])
    assert 0.65 < value < 0.9


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(("human_edges.py",), marks=pytest.mark.slow),
        pytest.param(("resolution.py",), marks=pytest.mark.slow),
        ("fit_trust.py",),
        ("default_model.py", "--model", "analogies"),
        ("reliability.py",),
        ("views.py",),
        pytest.param(("yardsticks.py",), marks=pytest.mark.slow),
        pytest.param(("matching.py", "size"), marks=pytest.mark.slow),
        ("matching.py", "scribbles"),
        pytest.param(("figure_filter.py", "train", "--out", "out"), marks=pytest.mark.slow),
    ],
)
def test_absent_data_are_named(script: tuple[str, ...], tmp_path: Path, refused: Refused) -> None:
    assert "nowhere" in refused(*script, "--data", tmp_path / "nowhere")


@pytest.mark.slow
def test_figure_filter(shared: Path, tmp_path: Path) -> None:
    few = ("--data", shared / "data", "--out", tmp_path, "--each", "1")
    done = run("figure_filter.py", "train", *few)
    assert done.returncode == 0, done.stderr
    assert "| filter | 0.50 |" in done.stdout
    assert (tmp_path / "filter" / "model.safetensors").stat().st_size < 200_000
    done = run("figure_filter.py", "evaluate", *few)
    assert done.returncode == 0, done.stderr
    assert "| everything kept | 0.50 |" in done.stdout
    assert (tmp_path / "lowest-positives-kinds.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["scribbles", "absent", "nuclei", "size", "calibration"])
def test_matching(shared: Path, what: str) -> None:
    data = ("--data", shared / "data", "--nuclei", shared / "nuclei", "--episodes", "2")
    done = run("matching.py", what, *data)
    assert done.returncode == 0, done.stderr
    assert "95%" in done.stdout or "calibration error" in done.stdout


def test_objects_are_paired_and_boundaries_may_differ_a_little() -> None:
    truth = np.zeros((40, 40), int)
    truth[5:15, 5:15], truth[5:15, 16:26], truth[25:35, 5:15] = 1, 2, 5
    assert object_f1(truth, truth) == 1
    assert object_f1(np.zeros_like(truth), truth) == 0
    assert object_f1(np.zeros_like(truth), np.zeros_like(truth)) == 1
    joined = np.where(truth == 2, 1, truth)  # half of it is either's: no more than a half
    assert object_f1(joined, truth) == pytest.approx(2 * 1 / 5)
    mask = truth > 0
    assert boundary_f(mask, mask) == 1
    assert boundary_f(np.roll(mask, 2, axis=1), mask) == 1
    assert boundary_f(np.roll(mask, 4, axis=1), mask) < 0.9
    assert boundary_f(mask, ~mask) > 0.9
    assert boundary_f(np.zeros_like(mask), mask) == 0


def test_yardsticks_mark_what_is_like_the_example() -> None:
    thing, ground = torch.eye(8)[:2]
    shown = torch.stack([thing, thing, ground, ground])
    inside = torch.tensor([True, True, False, False])
    query = torch.stack([ground, thing, ground, thing, ground])
    wanted = [0, 1, 0, 1, 0]
    for expected in (False, True):
        assert (prior(shown, inside, query, expected=expected) > 0.5).int().tolist() == wanted
        assert not prior(shown, ~inside & inside, query, expected=expected).any()
    positions = torch.eye(8)[7:]
    assert clustered(shown, inside, query, positions=positions).int().tolist() == wanted
    assert not clustered(shown, inside, ground.expand(5, -1), positions=positions).any()
    assert expected_cut(torch.tensor([0.1, 0.9, 0.8, 0.05])) == pytest.approx(0.8)


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vicl", "demo", "--output", str(tmp_path / "demo.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "segmentation" in done.stdout
    assert (tmp_path / "demo.png").stat().st_size > 100_000


@pytest.mark.slow
def test_synthetic(tmp_path: Path) -> None:
    few = ("--seconds", "0.3", "--rounds", "1", "--processes", "1")
    done = run("synthetic.py", *few, "--no-rules", "--out", tmp_path / "rates.json")
    assert done.returncode == 0, done.stderr
    rates = json.loads((tmp_path / "rates.json").read_text())["rates"]
    assert {"grids", "pages", "shipped mixture, 1 process"} <= rates.keys()
    assert min(rates.values()) > 1


SIZE = (48, 64)


def photographs(root: Path, uses: dict[str, str], *, each: int = 4) -> Path:
    """A folder with a manifest: bright squares with masks, boxes and edges, of several sources."""
    rows = []
    for index, source in enumerate(source for source in uses for _ in range(each)):
        image, mask = scene(index, SIZE)
        name, (down, across) = f"{source}{index}.png", np.nonzero(mask)
        # Colour, so that there is something to colorize.
        save_image(to_pil(image * torch.tensor([1.0, 0.7, 0.4])[:, None, None]), root / name)
        (root / "drawn").mkdir(exist_ok=True)
        Image.fromarray(mask.astype(np.uint8)).save(root / "drawn" / name)
        edges = mask & ~np.roll(mask, 1, axis=1)
        Image.fromarray(edges.astype(np.uint8) * 255).save(root / "drawn" / f"edges_{name}")
        box = [across.min(), down.min(), across.max() + 1, down.max() + 1]
        found = {"square": {"value": 1, "fraction": mask.mean()}}
        annotations = {
            "mask": {"path": f"drawn/{name}", "kind": "semantic", "classes": found},
            "boxes": [{"class": "square", "box": list(map(int, box))}],
            "edges": f"drawn/edges_{name}",
            "edges_by_annotator": [f"drawn/edges_{name}"],
        }
        rows.append(
            {"id": name, "image": name, "source": source, "use": uses[source]}
            | {"subset": "train" if index % 2 else "val", "annotations": annotations}
            | {"width": SIZE[1], "height": SIZE[0]}
        )
    (root / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    """The folder of a model that was never trained."""
    save_folder(MAEVQGAN(tiny()), tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.mark.slow
def test_latex_figures() -> None:
    done = run("latex_figures.py", "--papers", "6", "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["found by files"] < counts["found with assembly"] <= 1
    assert counts["each picture in its place"] == counts["assembled"] > 0
    assert counts["false grids"] == 0


@pytest.mark.slow
def test_default_model(tmp_path: Path, learned: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    photographs(data, {"known": "train", "new": "evaluate", "other": "evaluate"})
    out = tmp_path / "out"
    given = ("--model", learned, "--data", data, "--episodes", "2", "--out", out)
    done = run("default_model.py", *given)
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "results.json").read_text())
    parts = found["parts"]
    assert len(parts) == 9

    # What training has seen is asked about for the choice, and for nothing else.
    for kind in ("segmentation", "detection", "edges", "colorization"):
        queries = [run["engines"][0]["groups"].get("source", {}) for run in parts[kind]["runs"]]
        assert not any("known" in sources for sources in queries)
        assert "known" not in parts[kind]["rows"][0]["on"]
        assert "left out, as trained on: known" in parts[kind]["notes"][0]
        engines = ["copy", "identity", "analogies", "matching", "tiny"]
        assert list(parts[kind]["rows"][0]["engines"]) == engines
    assert all(row["on"] == "new, other" for row in parts["tokenizer"]["rows"])
    for row in parts["choice"]["rows"]:
        assert row["on"] == "known 2" or row["label"] == "lines of rules"

    # The means are those of `vicl evaluate`, and a gray picture is not below itself.
    for row, results in zip(parts["rules"]["rows"], parts["rules"]["runs"], strict=True):
        for engine in results["engines"]:
            assert row["engines"][engine["name"]] == engine["over_classes"]
    below = next(r for r in parts["colorization"]["rows"] if r["metric"]["name"] == "below_gray")
    assert below["engines"]["identity"] == {"mean": 0, "low": 0, "high": 0, "n": 2}
    tasks = [row["engines"]["analogies"]["mean"] for row in parts["synthetic"]["rows"]]
    assert tasks[-1] == pytest.approx(np.mean(tasks[:6]))

    best = json.loads((out / "best_for_task.json").read_text())
    assert list(best) == ["image", "segmentation", "detection", "edges", "colorization"]
    assert best.pop("edges")["on"] == "not measured"  # no garments to draw outlines of
    for task, one in best.items():
        mean, low, _ = one["difference"]
        sign = -1 if task == "colorization" else 1
        gains = {e: sign * (one[e] - one["analogies"]) for e in ("default", "matching")}
        if low > 0:
            assert mean == pytest.approx(gains[one["engine"]])
        else:
            assert mean == pytest.approx(max(gains.values()))
            assert one["engine"] == "analogies"

    sheets = [path.name for path in (out / "sheets").iterdir()]
    assert "rules-unseen-best.png" in sheets
    assert "private-segmentation-median.png" in sheets
    assert not any(name.startswith(("segmentation", "colorization")) for name in sheets)
    card = (out / "results.md").read_text()
    assert "| mean of six | color-aware IoU (cell) | 12 | " in card

    again = run("default_model.py", *given)  # measures nothing, and finds the same
    assert again.returncode == 0, again.stderr
    assert "episode(s)" not in again.stdout
    assert json.loads((out / "results.json").read_text())["parts"] == parts
    other = run("default_model.py", *given, "--seed", "1")
    assert other.returncode == 2
    assert "--again" in other.stderr


@pytest.mark.slow
def test_default_model_without_what_training_has_seen(tmp_path: Path, learned: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    photographs(data, {"new": "evaluate"})
    given = ("--model", learned, "--data", data, "--episodes", "1", "--out", tmp_path / "out")
    done = run("default_model.py", *given, "--only", "rules,choice")
    assert done.returncode == 0, done.stderr
    assert "choice, detection: not measured" in done.stdout
    best = json.loads((tmp_path / "out" / "best_for_task.json").read_text())
    unknown = {"engine": "analogies", "on": "not measured", "n": 0}
    assert best["segmentation"] == best["colorization"] == best["edges"] == unknown
    assert best["image"]["n"] > 0


def test_an_engine_is_taken_only_where_it_is_surely_better_than_analogies() -> None:
    def row(label: str, **better: tuple[float, float]) -> Row:
        engines = ("analogies", *better)
        means = {name: Interval(0.5, 0.4, 0.6, 9) for name in engines}
        over = {name: Interval(mean, low, 1.0, 9) for name, (mean, low) in better.items()}
        return Row(label, Metric("iou", "IoU"), 9, means, over)

    choice = Part(
        [
            row("segmentation", matching=(0.2, 0.1), tiny=(0.3, -0.1)),
            row("detection", matching=(0.2, 0.1), tiny=(0.3, 0.05)),
            row("edges", matching=(0.0, 0.0), tiny=(-0.3, -0.4)),
        ]
    )
    seen = row("seen", matching=(0.1, -0.1), tiny=(0.05, 0.01))
    best = best_for_task(choice, seen, ["analogies", "matching", "tiny"], "tiny")
    assert {task: one["engine"] for task, one in best.items()} == {
        "image": "default",
        "segmentation": "matching",
        "detection": "default",
        "edges": "analogies",
        "colorization": "analogies",
    }


def test_default_model_refuses(tmp_path: Path, refused: Refused) -> None:
    given = ("default_model.py", "--out", tmp_path / "out")
    unknown = refused(*given, "--model", "analogies", "--only", "rules,colour")
    assert "expected some of synthetic, rules" in unknown
    floor = refused(*given, "--only", "synthetic", "--model", "copy")
    assert "copy has no weights" in floor


class Halves:
    """A tokenizer that draws what it is shown, the left half darker."""

    codebook_size, patch_size = 1, 8

    def encode(self, image: Tensor) -> Tensor:
        self.image = image
        return torch.zeros(1, 1, 1, dtype=torch.int64)

    def decode(self, tokens: Tensor) -> Tensor:
        drawn = self.image.clone()
        drawn[..., : drawn.shape[-1] // 2] *= 0.4
        return drawn


def test_reconstruction(tmp_path: Path) -> None:
    root = photographs(tmp_path, {"new": "evaluate"})
    colour, masks = (manifest(root, kind) for kind in ("colorization", "segmentation"))
    found = reconstruction_psnr(Halves(), colour, SIZE[:1] * 2, count=3)
    assert found.n == 3
    wanted = []
    for index in range(4):  # the middle is 48 px wide, from column 8 on
        image = np.asarray(Image.open(root / f"new{index}.png"))[:, 8:32] / 255
        wanted.append(-10 * np.log10(np.square(0.6 * image).mean() / 2))
    assert min(wanted) - 1e-3 < found.low < found.mean < found.high < max(wanted) + 1e-3
    every = reconstruction_psnr(Halves(), colour, SIZE[:1] * 2, count=9)
    assert every.mean == pytest.approx(np.mean(wanted))

    shares = []
    for index in range(4):
        mask = np.asarray(Image.open(root / "drawn" / f"new{index}.png"))[:, 8:56] > 0
        if mask.any():
            shares.append(mask[:, 24:].sum() / mask.sum())
    found = reconstruction_iou(Halves(), masks, SIZE[:1] * 2, count=9)
    assert found.n == len(shares)
    assert found.mean == pytest.approx(np.mean(shares))


def test_reconstruction_of_nothing(tmp_path: Path) -> None:
    root = photographs(tmp_path, {"new": "evaluate"})
    masks = manifest(root, "segmentation")
    for index in range(4):  # marked at the very edge alone, outside the square
        mask = np.zeros(SIZE, np.uint8)
        mask[:, :6] = 1
        assert mask.mean() > FRACTION[0]
        Image.fromarray(mask).save(root / "drawn" / f"new{index}.png")
    with pytest.raises(DatasetError, match="the middle of none"):
        reconstruction_iou(Halves(), masks, SIZE[:1] * 2, count=2)


@pytest.mark.slow
def test_what_generators_are_asked_is_drawn(tmp_path: Path) -> None:
    """The picture of docs/generation.md."""
    sheet = tmp_path / "sheet.jpg"
    done = run("generation_sheet.py", "--out", sheet)
    assert done.returncode == 0, done.stderr
    with Image.open(sheet) as drawn:
        assert drawn.width > 5 * 160


def test_segmenting_refuses(refused: Refused, tmp_path: Path) -> None:
    assert "manifest.jsonl" in refused("segmenting.py", "--data", tmp_path, "--model", "default")


@pytest.mark.slow
def test_the_service_is_measured_under_load(tmp_path: Path, refused: Refused) -> None:
    pytest.importorskip("fastapi")
    assert "at least 20" in refused("server.py", "--requests", "3")
    small = ["--requests", "20", "--concurrent", "2", "--job", "6", "--model", "copy"]
    result = run("server.py", *small, "--json", tmp_path / "load.json")
    assert result.returncode == 0, result.stdout + result.stderr
    load = json.loads((tmp_path / "load.json").read_text())
    assert load["load"]["statuses"] == {"200": 18, "422": 2}
    assert load["load"]["identical"] == 18
    assert load["SIGTERM"]["accepted"] == load["SIGTERM"]["answered"]
    assert load["SIGKILL"]["done"] == 6
