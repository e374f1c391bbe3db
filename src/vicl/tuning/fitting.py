"""One run of training: a method's classifier on labelled images, by the loop."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.classifier import Classifier, trainable_parameters
from vicl.prompts.methods import Method
from vicl.prompts.options import Options
from vicl.prompts.reading import device_of, reading_of
from vicl.training.checkpoints import CheckpointFolder
from vicl.training.job import Job, Look
from vicl.training.loop import fit
from vicl.training.optimisation import peak_lr, rate_at
from vicl.training.parallel import load_whole_state, processes
from vicl.training.report import read_log
from vicl.training.settings import BatchSize, Schedule
from vicl.tuning.answers import Answers, Encoded, ask, ask_encoded, encode
from vicl.tuning.calibrating import fit_temperature
from vicl.tuning.data import ClassData, Labelled
from vicl.tuning.looking import LOOKS, Patience, look_of, looking
from vicl.tuning.objective import TuneObjective
from vicl.tuning.reading import Pictures, feature_rounds, image_rounds
from vicl.tuning.settings import Pace, TuneSettings

REMEDY = "Lower lr (--set lr=...), set clip=1 or lengthen warmup"
_ENCODED_BATCH = 64


@dataclass(eq=False)
class Task:
    """What is to be learned, whatever the settings.

    Attributes:
        method: The method;
        options: of it.
        backbone: Frozen, on its device; methods that learn in it take a copy.
        data: The images.
        seed: Of everything random.
        encoded: Features that were computed before, by split; shared by all runs.
    """

    method: Method
    options: Options
    backbone: Backbone
    data: ClassData
    seed: int
    encoded: dict[str, Encoded] = field(default_factory=dict)

    def make(self) -> Classifier:
        """A fresh classifier."""
        torch.manual_seed(self.seed)  # of dropout and the like; the loop keeps it over a stop
        generator = Generator().manual_seed(self.seed)
        made = self.method.make(self.backbone, self.data.classes, self.options, generator)
        return made.to(self.backbone.mean.device)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What came of a run.

    Attributes:
        classifier: With the weights that are kept, in evaluation mode.
        val: What it says of the validation images; None without any.
        epochs: That were run.
        seconds: Of training.
        learned: Numbers that were learned.
        broken: What was wrong with images that could not be read.
    """

    classifier: Classifier
    val: Look | None
    epochs: float
    seconds: float
    learned: int
    broken: tuple[str, ...]


def fit_task(task: Task, settings: TuneSettings, folder: Path) -> Fitted:
    """Train once, or go on with it where the folder has checkpoints.

    Args:
        task: What is learned.
        settings: How.
        folder: Of the run.

    Raises:
        TrainingError: As :func:`vicl.training.loop.fit`.
        DataError: If no image of a class can be read.
        KeyboardInterrupt: After Ctrl-C, once a checkpoint is saved.
    """
    classifier = task.make()
    classifier.reading = reading_of(classifier, stretch=settings.stretch)
    run = _Run(task, settings, folder, classifier)
    learned = trainable_parameters(classifier)
    if not learned:
        val = None if run.answer is None else look_of(run.answer(classifier))
        return Fitted(classifier.eval(), val, 0, 0.0, 0, run.broken())
    with processes(device_of(classifier), precision=settings.precision, folder=folder) as joined:
        trained = fit(run.job(), joined)
    kept = CheckpointFolder(folder / "checkpoints", 1)
    index = kept.index()
    best = index.best if settings.keep == "best" and not settings.refit else None
    if best is not None:
        load_whole_state(run.objective, kept.load(best)["objective"])
    classifier.eval()
    val = None
    if run.answer is not None:
        answers = run.answer(classifier)
        classifier.temperature = fit_temperature(answers.logits, answers.labels)
        val = look_of(replace(answers, scores=classifier.scores(answers.logits)))
    # A run that ended early may have gone on for some looks after its last checkpoint.
    steps = max([index.steps[-1], *(line["step"] for line in read_log(folder)[-1:])])
    epochs = steps * run.pace.batch / run.pace.images
    return Fitted(classifier, val, epochs, trained.seconds, learned, run.broken())


class _Run:
    """Data, objective and looks of a run."""

    def __init__(
        self, task: Task, settings: TuneSettings, folder: Path, classifier: Classifier
    ) -> None:
        self.task, self.settings, self.folder = task, settings, folder
        self.classifier = classifier
        data = task.data
        train = (*data.train, *data.val) if settings.refit else data.train
        self.train = self._pictures(train, augmented=True)
        self.encodes = classifier.head_only and settings.augment == "none"
        self.encoded: Encoded | None = None
        if self.encodes:
            self.encoded = self._encoded("refit" if settings.refit else "train", self.train)
        count = len(self.train) if self.encoded is None else len(self.encoded.labels)
        batch = min(settings.batch, max(1, count // settings.least_steps))
        self.pace = Pace(count, batch, settings.epochs)
        self.val: Pictures | None = None
        self.answer: Callable[[Classifier], Answers] | None = None
        if data.val and not settings.refit:
            self.val = self._pictures(data.val, augmented=False)
            self.answer = functools.partial(_asked, self.val)
            if self.encodes:
                self.answer = functools.partial(_asked_encoded, self._encoded("val", self.val))
        self.objective = TuneObjective(
            classifier, epoch=self.pace.epoch, batches=self._batches, encoded=self.encodes
        )

    def _pictures(self, items: Sequence[Labelled], *, augmented: bool) -> Pictures:
        return Pictures(
            items,
            self.task.data.classes,
            reading_of(self.classifier),
            augment=self.settings.augment if augmented else "none",
            workers=self.settings.workers,
        )

    def _encoded(self, name: str, pictures: Pictures) -> Encoded:
        # Other readings make other features.
        key = f"{name} {pictures.reading}"
        if key not in self.task.encoded:
            self.task.encoded[key] = encode(self.classifier, pictures)
        return self.task.encoded[key]

    def _batches(self) -> Iterable[tuple[Tensor, Tensor]]:
        """All training images once, for a method that counts."""
        where = device_of(self.classifier)
        for places, images in self.train.once(_ENCODED_BATCH):
            labels = torch.tensor([self.train.items[place].label for place in places])
            yield images.to(where), labels.to(where)

    def broken(self) -> tuple[str, ...]:
        """What was wrong with images so far."""
        told = [*self.train.broken.values()]
        told += [] if self.val is None else [*self.val.broken.values()]
        for encoded in self.task.encoded.values():
            told += encoded.broken
        return tuple(dict.fromkeys(told))

    def job(self) -> Job:
        """What the loop is to do."""
        settings, pace = self.settings, self.pace
        length = pace.steps if settings.by == "step" else settings.epochs
        rate, peak = settings.rate(length), peak_lr(settings.stepped_by(), pace.batch)
        between = max(1, pace.steps // min(LOOKS, settings.epochs))
        looks = pace.steps // between
        done = CheckpointFolder(self.folder / "checkpoints", 1).index().steps
        patience = Patience(
            looks + 1 if settings.patience == 1 else max(1, math.ceil(settings.patience * looks)),
            self.folder,
            done[-1] if done else 0,
        )
        rounds = functools.partial(image_rounds, self.train, self.task.seed)
        if self.encoded is not None:
            features = self.encoded.features, self.encoded.labels
            rounds = functools.partial(feature_rounds, *features, self.task.seed)
        look = None
        if self.answer is not None and self.val is not None:
            look = looking(self.answer, self.val, patience)
        return Job(
            objective=self.objective,
            rounds=rounds,
            batch=BatchSize(size=pace.batch),
            steps=pace.steps,
            schedule=Schedule(steps=pace.steps),
            optimiser=settings.stepped_by(),
            look=look,
            look_every=between,
            folder=self.folder,
            name=f"tune-{self.task.method.name}",
            log_every=min(20, between),
            save_every=5 * between,
            keep=1,
            rate=lambda step: rate_at(
                step if settings.by == "step" else pace.epoch(step), length, rate, peak
            ),
            enough=patience.enough,
            remedy=REMEDY,
        )


def _asked(pictures: Pictures, classifier: Classifier) -> Answers:
    return ask(classifier, pictures)


def _asked_encoded(encoded: Encoded, classifier: Classifier) -> Answers:
    return ask_encoded(classifier, encoded)
