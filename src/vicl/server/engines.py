"""The engines that may answer: which there are, and which of them a person let in.

Of a project's folder, which may be a stranger's, only the name of an engine that comes with the
package is followed. Any other is loaded, or fetched from the hub, when the person says so: by
choosing it in the page, or on the command line.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vicl.adapters.registry import ADAPTERS, Adapter
from vicl.engine import InContextModel, Inpainter
from vicl.files import display, reason
from vicl.files.extras import lacks, to_install
from vicl.models.devices import Device
from vicl.models.registry import ENGINES, kinds
from vicl.prompting.asking import best_model
from vicl.published.download import downloaded_models, published
from vicl.segmenters.registry import SEGMENTERS
from vicl.server.problems import Refusal
from vicl.server.project import Project
from vicl.server.schemas import Engine
from vicl.storage.cards import stated_licence
from vicl.storage.folder import ModelError, read_manifest
from vicl.storage.hub import cached_models
from vicl.tasks import get_task

log = logging.getLogger(__name__)

OWN: Final = frozenset(row.name for row in ENGINES)
"""Names of the engines that come with the package."""
_KEPT: Final = 4
"""So many engines stay loaded."""
_FORMS: Final = {"encoder": "matching:{}", "segmenter": "matching+hub:{}"}
"""How what is no engine itself becomes one."""


class Engines:
    """Lists and loads engines; may be called from any thread.

    Args:
        project: Whose engine is asked for.
        device: Where they run.
    """

    def __init__(self, project: Project, *, device: Device = "auto") -> None:
        self.project, self.device = project, device
        self._models: OrderedDict[str, InContextModel | Inpainter] = OrderedDict()
        self._let_in: set[str] = set()
        self._lock = threading.Lock()
        self._own: tuple[Engine, ...] | None = None

    def let_in(self, given: str) -> str:
        """Note that a person asked for an engine; gives its full name."""
        name = _full(given)
        self._let_in.add(name)
        return name

    def asks(self) -> str | None:
        """A question where the project names an engine that nobody let in yet."""
        name = self.project.file.engine
        if name is None or name in OWN or name in self._let_in:
            return None
        return (
            f"This project names the engine {display(name)}, which does not come with vicl. It is "
            "loaded, and fetched from the Hugging Face hub where it is from there, only if you say "
            "so."
        )

    def choose(self, given: str) -> str:
        """Load an engine that a person gives; gives its full name.

        Raises:
            Refusal: If it cannot be loaded.
        """
        name = _full(given)
        if not name:
            raise Refusal(422, "engine: say a name, a model folder or hub:owner/name.")
        try:
            self._load(name)
        except Exception as error:  # of whatever library: the earlier engine stays
            log.info("%s could not be loaded", display(name), exc_info=error)
            known = isinstance(error, ValueError | OSError)
            why = str(error) if known else f"{type(error).__name__}: {reason(error)}"
            raise Refusal(
                422, f"The engine {display(name)[:200]} cannot be used: {why[:2000]}"
            ) from error
        return self.let_in(name)

    def get(self, name: str | None) -> InContextModel | Inpainter:
        """An engine by its name, loaded once; None is the best for the task.

        Raises:
            Refusal: If nobody let it in.
            ValueError: If it cannot be loaded.
        """
        if name is not None and name not in OWN and name not in self._let_in:
            raise Refusal(409, f"{self.asks() or display(name)} Choose an engine.")
        return self._load(name)

    def _load(self, name: str | None) -> InContextModel | Inpainter:
        from vicl.loading import load_model

        task = self.project.file.task
        kept = f"best for {task}" if name is None else name
        with self._lock:
            if kept in self._models:
                self._models.move_to_end(kept)
                return self._models[kept]
        made = (
            best_model(get_task(task), device=self.device, dtype="auto")
            if name is None
            else load_model(name, device=self.device)
        )
        with self._lock:
            self._models[kept] = made
            while len(self._models) > _KEPT:
                self._models.popitem(last=False)
        return made

    def tried(self) -> tuple[str, ...]:
        """Those that are compared: all that are ready but for the floors."""
        floors = {row.name for row in ENGINES if row.floor}
        return tuple(one.name for one in self.listed() if one.ready and one.name not in floors)

    def listed(self) -> tuple[Engine, ...]:
        """Those of the package, the folders that vicl keeps, and those that were let in."""
        if self._own is None:
            self._own = tuple(_own())
        found = {one.name: one for one in (*self._own, *_folders())}
        chosen = self.project.file.engine
        for name in (*sorted(self._let_in), *([] if chosen is None else [chosen])):
            if name not in found:
                needs = None if name in self._let_in else "your yes"
                found[name] = Engine(
                    name=name, what="a model of yours", ready=needs is None, needs=needs
                )
        return tuple(found.values())

    def all(self) -> tuple[Engine, ...]:
        """Those of :meth:`listed`, the hub's that are on this machine, and what others there are.

        Reads folders; nothing is loaded or fetched.
        """
        found = {one.name: one for one in (*self.listed(), *_cached(), *_adapted())}
        return tuple(found.values())


def _full(given: str) -> str:
    """An engine as it is kept: the path of a folder in full, whatever the server's own is."""
    name = given.strip()
    if name in OWN:
        return name
    path = Path(name).expanduser() if name.startswith("~") else Path(name)
    try:
        there = bool(name) and path.exists()
    except (OSError, ValueError):  # too long, or no path at all
        there = False
    return str(path.absolute()) if there else name


def _own() -> Iterator[Engine]:
    from vicl.encoders.packaged import MissingWeightsError
    from vicl.encoders.registry import ENCODERS

    missing = None
    try:
        if ENCODERS[0].weights is not None:
            ENCODERS[0].weights.find()
    except MissingWeightsError as error:
        missing = str(error)
    for row in ENGINES:
        needs = missing if row.name == "matching" else None
        yield Engine(name=row.name, what=row.use, ready=needs is None, needs=needs)


def _folders() -> Iterator[Engine]:
    """Of the folder of models that `vicl download` fills."""
    titles = published()
    for name, folder in downloaded_models().items():
        try:
            kind = kinds().get(read_manifest(folder).model)
        except ModelError:
            continue  # of something that answers nothing
        if kind is None or kind.objective not in ("inpainting", "matching"):
            continue
        known = titles.get(name)
        what = kind.use if known is None else known.title
        licence = stated_licence(folder) if known is None else known.licence.name
        yield Engine(name=name, what=what, ready=True, licence=licence)


def _cached() -> Iterator[Engine]:
    """Of the hub's cache: those that an adapter answers with."""
    from vicl.adapters.opening import stated_kind

    for repository, folder in cached_models().items():
        try:
            kind = stated_kind(folder)
        except ModelError:
            continue  # of some other library's
        for adapter in ADAPTERS:
            name = _as_engine(adapter, repository)
            if kind in adapter.kinds and name is not None:
                yield Engine(
                    name=name,
                    what=adapter.use,
                    ready=not lacks(adapter.extra),
                    needs=_extra(adapter),
                    licence=stated_licence(folder),
                )


def _adapted() -> Iterator[Engine]:
    """A model of each family that answers, with what it needs."""
    for adapter in ADAPTERS:
        name = _as_engine(adapter, adapter.example)
        if name is not None:
            weights = "its weights: from the hub when you choose it, or a folder of yours"
            needs = _extra(adapter)
            yield Engine(
                name=name,
                what=f"{adapter.name}: {adapter.use}",
                ready=False,
                needs=weights if needs is None else f"{needs}, and {weights}",
                licence="as its card says; it is shown once it is here",
            )


def _as_engine(adapter: Adapter, repository: str) -> str | None:
    """How a model of a family is named as an engine; None where it cannot be one."""
    if "/" not in repository or repository == "owner/name":
        return None
    if adapter.role in ("engine", "inpainter"):
        return f"hub:{repository}"
    draws = {row.name for row in SEGMENTERS if "box" in row.accepts}
    if adapter.role == "segmenter" and adapter.name not in draws:
        return None
    form = _FORMS.get(adapter.role)
    return None if form is None else form.format(repository)


def _extra(adapter: Adapter) -> str | None:
    return to_install(adapter.extra, "hub") if lacks(adapter.extra) else None
