"""Tuning: from a method, a backbone and labelled images to a saved prompt that has been tested."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import yaml
from torch import Tensor

from vicl.files import TEMPORARY_PREFIX, FileError, display, reason, write_atomic
from vicl.files.nested import flatten
from vicl.images import ImageError, save_image
from vicl.metrics import Interval
from vicl.models.devices import Device
from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.methods import method as named_method
from vicl.prompts.saved import PROMPT, save_classifier
from vicl.prompts.worded import WordedClassifier
from vicl.training.checkpoints import TrainingError
from vicl.tuning.answers import Answers, ask, pictures_for
from vicl.tuning.card import card_of
from vicl.tuning.data import ClassData, open_data
from vicl.tuning.fitting import Fitted, Task, fit_task
from vicl.tuning.layouts import DataError
from vicl.tuning.looking import answered_sheet
from vicl.tuning.pictures import write_pictures
from vicl.tuning.protocols import BaseToNew, base_and_new
from vicl.tuning.reading import Pictures
from vicl.tuning.scores import Scored, score
from vicl.tuning.search import Trial, search
from vicl.tuning.settings import Budget, SettingsError, TuneSettings, settle

SETTINGS: Final = "tune.yaml"
SCORES: Final = "scores.json"
_SHOWN: Final = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Tuned:
    """What came of tuning.

    Attributes:
        folder: Of the saved prompt.
        scored: On the test images.
        new: On those of classes that were not learned, of which only the names were told; None
            where all were learned.
        fitted: The run whose prompt it is.
        settings: Of that run.
        trials: Of a search.
        broken: What was wrong with images that could not be read.
    """

    folder: Path
    scored: Scored
    new: Scored | None
    fitted: Fitted
    settings: TuneSettings
    trials: tuple[Trial, ...]
    broken: tuple[str, ...]

    @property
    def accuracy(self) -> Interval:
        """On the test images."""
        return self.scored.accuracy

    @property
    def base_to_new(self) -> BaseToNew | None:
        """Accuracies over classes that were learned and others; None where all were learned."""
        if self.new is None:
            return None
        return BaseToNew(self.accuracy.mean, self.new.accuracy.mean)


def tune(
    method: str,
    output: Path,
    *,
    backbone: str | Backbone,
    data: Path,
    overrides: Sequence[str] = (),
    shots: int | None = None,
    seed: int = 0,
    resume: bool = False,
    budget: Budget | None = None,
    base_to_new: bool = False,
    device: Device = "auto",
) -> Tuned:
    """Learn a prompt, test it once, and save it.

    Args:
        method: One of :data:`vicl.prompts.methods.METHODS`.
        output: The run's folder; the saved prompt is `prompt` in it.
        backbone: As `load_backbone` takes it; or itself, which stays as it is.
        data: The images' folder; see :func:`vicl.tuning.data.open_data`.
        overrides: "key=value" each: options of the method, settings of the training.
        shots: Images of each class to learn from; None: all.
        seed: Of everything random.
        resume: Go on with the run in `output`.
        budget: Seek learning rate and weight decay on the validation images first.
        base_to_new: Learn half of the classes, and test on those and on the others, each by
            themselves; see :func:`vicl.tuning.protocols.base_and_new`.
        device: Where it runs; heeded where the backbone is not given itself.

    Raises:
        DataError: If the images cannot be used.
        SettingsError: If an override is wrong.
        ModelError: If the backbone cannot be read, or the prompt not be written.
        TrainingError: If the run cannot begin or go on, or its loss is not finite any more.
        KeyboardInterrupt: After Ctrl-C, once a checkpoint is saved.
    """
    chosen = named_method(method)
    options, settings = settle(chosen, overrides, shots=shots)
    images, others = open_data(data, seed=seed, shots=shots), None
    if base_to_new:
        images, others = _halves(images)
    net = load_backbone(backbone, device=device) if isinstance(backbone, str) else backbone
    net = _at(net, settings.side)
    described = {
        "method": chosen.name,
        "options": options.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
        "backbone": net.source,
        "backbone_hash": net.weights_hash,
        "data": str(data),
        "classes": list(images.classes),
        "images": [len(images.train), len(images.val), len(images.test)],
        "shots": shots,
        "seed": seed,
        "search": None if budget is None else dataclasses.asdict(budget),
    }
    task = Task(chosen, options, net, images, seed)
    if others is not None:
        _check_names(task, others.classes)
    prepare_run(output, described, resume=resume)
    trials: tuple[Trial, ...] = ()
    if budget is not None:
        given = frozenset(text.partition("=")[0] for text in overrides)
        settings, trials = search(task, settings, budget, output, given=given)
    fitted = fit_task(task, settings, output)
    classifier = fitted.classifier
    tested = pictures_for(classifier, images.test, workers=settings.workers)
    answers = ask(classifier, tested)
    scored = _scored(answers, images.classes, seed)
    broken = (*fitted.broken, *answers.broken)
    new = None
    if others is not None and isinstance(classifier, WordedClassifier):
        asked = classifier.with_classes(others.classes).eval()
        told = ask(asked, pictures_for(asked, others.test, workers=settings.workers))
        new, broken = _scored(told, others.classes, seed), (*broken, *told.broken)
    for line in broken:
        _log.warning("skipped: %s", line)
    folder = output / PROMPT
    card = card_of(described, settings, fitted, scored, new, trials, broken, images.notes)
    save_classifier(classifier, folder, method=chosen, options=options, card=card, overwrite=True)
    plain = scored.to_json() | ({} if new is None else {"new_classes": new.to_json()})
    write_atomic(output / SCORES, (json.dumps(plain, indent=1) + "\n").encode())
    write_pictures(output / "pictures", classifier, _some(tested), scored.confusion)
    save_image(answered_sheet(tested, answers), output / "pictures" / "answers.png")
    return Tuned(folder, scored, new, fitted, settings, trials, broken)


def _halves(images: ClassData) -> tuple[ClassData, ClassData]:
    """Images of the classes that are learned, and of the others.

    Raises:
        DataError: If there are too few classes.
    """
    try:
        base, new = base_and_new(images.classes)
    except ValueError as error:
        raise DataError(f"{display(images.root)}: {error}") from error
    return images.only(base), images.only(new)


def _at(backbone: Backbone, side: int | None) -> Backbone:
    """The backbone for images of a side; None: its own.

    Raises:
        SettingsError: If it takes none of that side.
    """
    try:
        return backbone if side is None else backbone.at(side)
    except ValueError as error:
        raise SettingsError(f"--set {error}") from error


def _check_names(task: Task, classes: Sequence[str]) -> None:
    """See that what is learned can be asked about classes by their names.

    Raises:
        SettingsError: If it cannot.
    """
    made = task.make()
    if not isinstance(made, WordedClassifier):
        raise SettingsError(
            f"base-to-new: {task.method.name} reads no names of classes, so that it can only tell "
            "apart what it has learned; take coop, cocoop or upt"
        )
    try:
        made.with_classes(classes)
    except ValueError as error:
        raise SettingsError(f"base-to-new: {error}") from error


def _scored(answers: Answers, classes: Sequence[str], seed: int) -> Scored:
    return score(
        answers.scores.numpy(),
        answers.labels.numpy(),
        classes,
        broken=len(answers.broken),
        seed=seed,
    )


def _some(pictures: Pictures) -> Tensor | None:
    """Some of the test images, of several classes, as the classifier takes them."""
    found: list[Tensor] = []
    labels: set[int] = set()
    for place, item in enumerate(pictures.items):
        if len(found) == _SHOWN:
            break
        if item.label in labels or place in pictures.broken:
            continue
        try:
            found.append(pictures.load(place).float() / 255)
            labels.add(item.label)
        except ImageError:  # it could be read a moment ago
            continue
    return torch.stack(found) if found else None


def prepare_run(folder: Path, described: Mapping[str, Any], *, resume: bool) -> None:
    """Make a run's folder, or check that its run may go on.

    Raises:
        TrainingError: If it cannot be written, has a run or other things in it, or its run has
            other settings.
    """
    file, name = folder / SETTINGS, display(folder)
    if file.exists():
        if not resume:
            raise TrainingError(
                f"{name}: has a run in it; go on with it by --resume, or choose another -o"
            )
        _check_same(file, described)
    elif folder.exists() and any(
        not path.name.startswith(TEMPORARY_PREFIX) for path in folder.iterdir()
    ):
        raise TrainingError(f"{name}: holds other things than a run; choose another -o")
    try:
        text = yaml.safe_dump(dict(described), sort_keys=False, allow_unicode=True)
        write_atomic(file, text.encode())
    except (FileError, OSError) as error:
        raise TrainingError(
            f"{name}: the run's folder cannot be written ({reason(error)}); choose another -o"
        ) from error


def _check_same(file: Path, described: Mapping[str, Any]) -> None:
    try:
        before = flatten(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise TrainingError(f"{display(file)}: cannot be read ({reason(error)})") from error
    now = flatten(json.loads(json.dumps(described)))
    free = ("settings.workers", "search.")
    other = [
        f"{key} (was {before.get(key)!r}, is {now.get(key)!r})"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and not key.startswith(free)
    ]
    if other:
        raise TrainingError(
            f"{display(file)}: the run was begun with other values of {'; '.join(other[:5])}; "
            "go on with those, or begin another run with -o"
        )
