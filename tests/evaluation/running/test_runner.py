"""Running engines over episodes, and going on after a stop."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from tests.evaluation.discs import Discs, Level, disc, mean_of_query
from tests.models.fabricated import tiny_model

from vicl.engine import Filled
from vicl.evaluation.episodes import Case, Episode, Truth, read_listing
from vicl.evaluation.reporting.report import write_report
from vicl.evaluation.running.engines import FLOORS, as_engine, with_floors
from vicl.evaluation.running.results import EvaluationError, Results
from vicl.evaluation.running.run_folder import read_run
from vicl.evaluation.running.runner import _Run, evaluate
from vicl.evaluation.running.workers import Workers
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.images import to_tensor
from vicl.metrics import iou, paired_interval
from vicl.prompt import Prompt

SCORER = scorer_for("segmentation")


def run(
    *engines: Any, out: Path | None = None, count: int = 7, broken: Any = (), **options: Any
) -> Results:
    dataset = Discs(tuple(broken))
    options = {"scorer": SCORER, **options}
    asked = with_floors({engine.name: engine for engine in engines or (Level(),)})
    return evaluate(asked, dataset, dataset.episodes(count), out, **options)


def numbers(results: Results) -> dict[str, Any]:
    """All that must not depend on how it was computed."""
    found = results.to_json()
    for name in ("wall_clock", "batch_size", "workers"):
        del found[name]
    for engine in found["engines"]:
        del engine["seconds_per_episode"], engine["episodes_per_second"]
    scores = [[r.scores.values for r in engine.records] for engine in results.engines]
    return {**found, "scores": scores}


def test_floors_run_beside_and_scores_are_right() -> None:
    results = run(Level())
    assert [engine.name for engine in results.engines] == ["copy", "identity", "level"]
    by_hand = [
        iou(disc(f"e0-{i}-0")[1][0].numpy() > 0.5, disc(f"q{i}")[1][0].numpy() > 0.5)
        for i in range(7)
    ]
    copied = results.engine("copy")
    assert [r.scores.values["iou"] for r in copied.records] == pytest.approx(by_hand, abs=1e-12)
    assert copied.values["iou"].mean == pytest.approx(np.mean(by_hand))
    assert copied.minus_copy is None
    level = results.engine("level")
    assert level.values["iou"].mean == 1.0
    assert level.minus_copy is not None
    wanted = paired_interval([1.0] * 7, by_hand)
    gain = level.minus_copy["iou"]
    assert (gain.mean, gain.low, gain.high) == pytest.approx((wanted.mean, wanted.low, wanted.high))
    assert results.answered == 21


def test_named_floors_are_not_doubled() -> None:
    floor = Level(name="copy")
    assert [e.name for e in run(floor, Level()).engines] == ["copy", "identity", "level"]


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [2, 5, None])
def test_batch_size_changes_nothing(batch_size: int | None) -> None:
    model = as_engine(tiny_model(), "segmentation")
    alone = numbers(run(model, Level(), batch_size=1))
    assert numbers(run(model, Level(), batch_size=batch_size)) == alone


def test_batches_are_of_the_size_asked_for() -> None:
    level = Level()
    run(level, batch_size=3)
    assert level.batches == [3, 3, 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_of_large_photographs_fewer_are_held(workers: int) -> None:
    """Of three megapixels each: two at once are over the four that a batch of four may have."""
    loaded: list[int] = []

    class Large:
        count = workers
        threads = ThreadPoolExecutor(2)

        def load(self, episode: Episode) -> Future[Case]:
            image = torch.zeros(1, 1, 1).expand(3, 1500, 1000)
            case = Case(Prompt([(image, image)], image), Truth(image))
            loaded.append(episode.index)
            return self.threads.submit(lambda: case)

    running = _Run({}, Discs(), Discs().episodes(9), SCORER, None, workers, 0, None, {})
    running.pool = cast(Workers, Large())
    given = 0
    for batch in running._loaded([*range(9)], 4):
        assert list(batch) == [*range(9)][given : given + 2]
        given += len(batch)
        # With workers one more is loaded, and the first time four, when no size is known yet.
        assert len(loaded) <= given + (3 if workers else 0)
    assert loaded == [*range(9)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int, tmp_path: Path) -> None:
    here = run(Level(), broken=[2], out=tmp_path / "a")
    beside = run(Level(), broken=[2], out=tmp_path / "b", workers=workers, batch_size=2)
    assert numbers(beside) == numbers(here)
    listings = [(tmp_path / name / "listing.jsonl").read_text() for name in "ab"]
    assert listings[0] == listings[1]


def test_a_broken_episode_is_told_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        results = run(broken=[1, 4])
    assert [failure.position for failure in results.failures] == [1, 4]
    assert str(results.failures[0]) == "episode 1: q1.jpg: no such file; check the path"
    assert [episode.index for episode in results.episodes] == [0, 2, 3, 5, 6]
    assert results.engine("level").values["iou"].n == 5
    assert "skipped: episode 4" in caplog.text
    assert results.to_json()["episodes"] == {
        "asked": 7,
        "scored": 5,
        "failed": [
            {"position": i, "query": f"q{i}", "message": f"q{i}.jpg: no such file; check the path"}
            for i in (1, 4)
        ],
    }


def test_an_episode_that_one_engine_cannot_answer_is_left_out_for_all() -> None:
    results = run(Level(fails_at=mean_of_query(3)))
    assert [str(failure) for failure in results.failures] == [
        "episode 3: q3: level: nothing to see"
    ]
    assert {len(engine.records) for engine in results.engines} == {6}
    assert results.engine("level").values["iou"].mean == 1.0


def test_an_answer_that_is_not_finite_costs_its_episode_alone(tmp_path: Path) -> None:
    results = run(NotFinite(), out=tmp_path / "run", scorer=scorer_for("image"))
    assert [failure.position for failure in results.failures] == [2]
    assert "not-finite: answered with pixels that are no finite numbers" in str(results.failures[0])
    assert len(results.episodes) == 6
    # The floors' answers to that episode stay in the journal, and are no answers of before.
    assert results.to_json()["wall_clock"] | {"seconds": 0} == {
        "seconds": 0,
        "answered": 20,
        "from_earlier": 0,
    }


class NotFinite(Level):
    """Answers one query with a picture of no numbers."""

    def __init__(self) -> None:
        super().__init__(name="not-finite")

    def answer(self, prompts: Any, *, samples: int = 1, seed: int = 0) -> list[Filled]:
        odd = disc("q2")[0]
        return [
            Filled(torch.full_like(odd, torch.nan)) if torch.equal(to_tensor(p.query), odd) else f
            for p, f in zip(prompts, super().answer(prompts), strict=True)
        ]


def test_nothing_scored_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"no episode could be scored; .* q0\.jpg"):
        run(broken=range(7))
    with pytest.raises(EvaluationError, match="expected at least one"):
        evaluate(FLOORS, Discs(), [], scorer=SCORER)
    with pytest.raises(EvaluationError, match="engines: got none"):
        evaluate({}, Discs(), Discs().episodes(1), scorer=SCORER)
    with pytest.raises(EvaluationError, match="batch_size: got 0"):
        run(batch_size=0)
    with pytest.raises(EvaluationError, match="workers: got -1"):
        run(workers=-1)


def test_groups_by_source_class_and_what_training_saw() -> None:
    results = run(Level(weights_hash="cd" * 32), trained_classes=["sun"])
    level, copied = results.engine("level"), results.engine("copy")
    seen = [record.class_seen for record in level.records]
    assert seen == [True, False, False, True, False, False, True]
    assert not any(record.class_seen for record in copied.records)  # it was never trained
    labels = {(group.kind, group.label): group.interval.n for group in level.groups}
    assert labels == {
        ("source", "drawn"): 4,
        ("source", "sky"): 3,
        ("class", "moon (drawn)"): 1,
        ("class", "moon (sky)"): 1,
        ("class", "star (drawn)"): 1,
        ("class", "star (sky)"): 1,
        ("class", "sun (drawn)"): 2,
        ("class", "sun (sky)"): 1,
        ("seen", "class seen in training"): 3,
        ("seen", "class not seen"): 4,
    }
    values = [record.scores.values["iou_cell"] for record in copied.records]
    found = {group.label: group.interval.mean for group in copied.groups}
    assert found["drawn"] == pytest.approx(np.mean(values[::2]))
    assert all(r.class_seen is None for r in run(Level(weights_hash="e")).engine("level").records)


def test_the_folder_has_everything(tmp_path: Path) -> None:
    results = run(out=tmp_path / "run", broken=[2], options={"examples": 1})
    write_report(results, with_floors({"level": Level()}), Discs((2,)), tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    sheets = {f"sheet-{rank}.png" for rank in ("best", "median", "worst")}
    files = {"run.json", "listing.jsonl", "episodes.jsonl", "results.json", "index.html"}
    assert names == files | sheets
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["engines"][2]["values"]["iou"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 6}
    assert found["dataset"]["fingerprint"] == "ab" * 32
    assert found["options"] == {"examples": 1}
    assert found["versions"]["torch"] == torch.__version__
    lines = (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 18
    assert rows[-1]["engine"] == "level"
    assert (rows[-1]["query"], rows[-1]["examples"], rows[-1]["class"]) == ("q6", ["e0-6-0"], "sun")
    assert rows[-1]["scores"]["values"] == results.engines[2].records[-1].scores.values
    listing = read_listing((tmp_path / "run" / "listing.jsonl").read_text())
    assert listing == Discs().episodes(7)


def test_going_on_computes_no_finished_episode_again(tmp_path: Path) -> None:
    whole = run(out=tmp_path / "whole", batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        run(Level(stops_after=5), out=tmp_path / "run", batch_size=2)
    journal = tmp_path / "run" / "episodes.jsonl"
    done = [json.loads(line) for line in journal.read_text().splitlines()]
    finished = {row["episode"] for row in done if row["engine"] == "level"}
    assert finished == {0, 1, 2, 3}
    with journal.open("a") as stream:
        stream.write('{"episode": 4, "engi')  # what a kill leaves of a line
    level = Level()
    again = run(level, out=tmp_path / "run", batch_size=2, resume=True)
    assert level.asked[:3] == [mean_of_query(index) for index in (4, 5, 6)]
    assert again.answered == 21 - len(done)
    assert numbers(again) == numbers(whole)
    third = Level()
    assert run(third, out=tmp_path / "run", resume=True).answered == 0


def test_a_failed_episode_is_tried_again(tmp_path: Path) -> None:
    assert len(run(out=tmp_path / "run", broken=[2]).failures) == 1
    mended = run(out=tmp_path / "run", resume=True)
    assert not mended.failures
    assert mended.answered == 3


def test_other_settings_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(out=out, count=3)
    with pytest.raises(EvaluationError, match="has a run in it; go on with it by --resume"):
        run(out=out, count=3)
    with pytest.raises(EvaluationError, match=r"other values of seed \(was 0, is 5\)"):
        run(out=out, count=3, seed=5, resume=True)
    with pytest.raises(EvaluationError, match=r"engines\.level \(was None, is 'ff'\)"):
        run(Level(weights_hash="ff"), out=out, count=3, resume=True)
    with pytest.raises(EvaluationError, match=r"options\.order \(was absent, is 'left'\)"):
        run(out=out, count=3, resume=True, options={"order": "left"})
    with pytest.raises(EvaluationError, match=r"engines\.level \(was None, is absent\)"):
        run(Level(name="other"), out=out, count=3, resume=True)
    with pytest.raises(EvaluationError, match=r"engines\.other \(was absent, is None\)"):
        run(Level(), Level(name="other"), out=out, count=3, resume=True)
    run(Level(), Level(name="other"), out=tmp_path / "two", count=3)
    with pytest.raises(EvaluationError, match="other values of the engines' order"):
        run(Level(name="other"), Level(), out=tmp_path / "two", count=3, resume=True)
    other = Discs().episodes(3, seed=8)
    with pytest.raises(EvaluationError, match="other values of the list of episodes"):
        evaluate(with_floors({"level": Level()}), Discs(), other, out, scorer=SCORER, resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(EvaluationError, match="holds other things than a run"):
        run(out=tmp_path / "full")


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    run(out=tmp_path, count=3)
    journal = tmp_path / "episodes.jsonl"
    lines = journal.read_text().splitlines()
    lines[1] = lines[1].replace('"episode": 1', '"episode": 99')
    journal.write_text("\n".join(lines) + "\n")
    with pytest.raises(EvaluationError, match=r"episodes\.jsonl: line 2 is damaged \(episode 99"):
        run(out=tmp_path, count=3, resume=True)


def test_edges_keep_their_counts(tmp_path: Path) -> None:
    """The F of a set comes from counts, which survive the journal."""
    from vicl.evaluation.episodes import Case, Truth

    class Rims(Discs):
        def load(self, episode: Episode) -> Case:
            case = super().load(episode)
            mask = case.truth.image[0].numpy() > 0.5
            rim = mask & ~np.roll(mask, 1, axis=0)
            return Case(case.prompt, Truth(case.truth.image, annotators=rim[None]))

    dataset = Rims(task="edges")
    episodes = dataset.episodes(2)
    first = evaluate(FLOORS, dataset, episodes, tmp_path, scorer=scorer_for("edges"))
    again = evaluate(FLOORS, dataset, episodes, tmp_path, scorer=scorer_for("edges"), resume=True)
    assert again.answered == 0
    assert numbers(again) == numbers(first)
    assert first.engine("copy").over_classes is None


SCRIPT = """
import sys, time
from pathlib import Path
from tests.evaluation.discs import Discs, Level
from vicl.evaluation.running.engines import with_floors
from vicl.evaluation.running.runner import _Run, evaluate
from vicl.evaluation.running.workers import Workers
from vicl.evaluation.scoring.scorers import scorer_for

class Slow(Level):
    def answer(self, prompts, *, samples=1, seed=0):
        time.sleep(float(sys.argv[3]))
        return super().answer(prompts, samples=samples, seed=seed)

if __name__ == "__main__":
    slow = Slow(log=Path(sys.argv[2]))
    evaluate(with_floors({slow.name: slow}), Discs(), Discs().episodes(30), Path(sys.argv[1]),
        scorer=scorer_for("segmentation"), batch_size=1, workers=int(sys.argv[4]), resume=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_killed_and_gone_on_with(tmp_path: Path, workers: int) -> None:
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    script, out, log = tmp_path / "script.py", tmp_path / "run", tmp_path / "log"
    script.write_text(SCRIPT)

    def command(pause: float) -> list[str]:
        parts = (sys.executable, script, out, log, pause, workers)
        return [str(part) for part in parts]

    process = subprocess.Popen(command(0.3), env=environment, cwd=root)
    journal = out / "episodes.jsonl"
    deadline = time.monotonic() + 300
    while not journal.exists() or journal.read_bytes().count(b'"level"') < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)
    _, _, records = read_run(out)
    finished = {record.position for record in records if record.engine == "level"}
    assert 3 <= len(finished) < 30
    before = len(log.read_text().splitlines())
    subprocess.run(command(0.0), env=environment, cwd=root, check=True)
    answered = [float(line) for line in log.read_text().splitlines()[before:]]
    again = answered[: 30 - len(finished)]
    assert again == [mean_of_query(i) for i in range(30) if i not in finished]
    _, _, records = read_run(out)
    assert sorted(r.position for r in records if r.engine == "level") == list(range(30))
