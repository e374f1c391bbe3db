"""The engines of a service: each is loaded once, at the start, by whoever started it."""

from __future__ import annotations

from pathlib import Path

from vicl.engine import InContextModel, Inpainter
from vicl.loading import BEST_FOR_TASK, load_model
from vicl.models.registry import ENGINES
from vicl.prompting.asking import best_model
from vicl.prompting.prompt_file import has_pool, made_with
from vicl.prompting.prompter import VisualPrompter
from vicl.server.service.settings import ServiceSettings
from vicl.tasks import get_task

_OWN = frozenset(engine.name for engine in ENGINES)


class Engines:
    """Loads engines, and keeps them.

    Args:
        settings: Of the service.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._kept: dict[tuple[str, str], InContextModel | Inpainter] = {}

    @property
    def loaded(self) -> list[InContextModel | Inpainter]:
        """Those that are loaded, each once, in order."""
        return list({id(engine): engine for engine in self._kept.values()}.values())

    def chosen(self, dtype: str = "float32") -> InContextModel | Inpainter:
        """The one that answers examples of requests.

        Raises:
            ValueError: If it cannot be loaded.
        """
        name = self._settings.model
        if name is None and ("", dtype) not in self._kept:
            best = best_model(get_task("segmentation"), device=self._settings.device, dtype=dtype)
            self._kept["", dtype] = self._kept.setdefault((best.name, dtype), best)
        return self._kept["", dtype] if name is None else self._named(name, dtype)

    def prompter(self, path: Path) -> VisualPrompter:
        """Open a prompt file, answered by its own engine where that comes with the package.

        Raises:
            PromptFileError: If it cannot be used.
        """
        name, dtype = made_with(path)
        engine = self._named(name, dtype) if name in _OWN else None
        if engine is None and self._settings.model is not None:
            engine = self.chosen(dtype)
        return VisualPrompter.load(
            path,
            model=engine,
            device=self._settings.device,
            limit_pixels=self._settings.limit_pixels,
            pool=self._settings.pool if has_pool(path, elsewhere=True) else None,
        )

    def _named(self, name: str, dtype: str) -> InContextModel | Inpainter:
        if (name, dtype) not in self._kept:
            self._kept[name, dtype] = load_model(name, device=self._settings.device, dtype=dtype)
        return self._kept[name, dtype]


def chosen_name(settings: ServiceSettings) -> str:
    """What the engine of requests' examples is called, before it is loaded."""
    return settings.model or BEST_FOR_TASK["segmentation"]
