"""The model of a recipe: a section for every kind, made of the registry's configurations."""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model, model_validator

from vicl.models.configs import Asking, Checked, CodeConfig, Size
from vicl.models.registry import Kind, kinds


class _Asked(Checked):
    """What a model that fills holes has beside its configuration.

    Attributes:
        asking: How it is asked.
    """

    asking: Asking = Asking()

    @model_validator(mode="after")
    def _check_asking(self) -> _Asked:
        model: Any = self
        model.check(self.asking)
        return self


class _OverCodes(Checked):
    """What a model over the codes of a VQGAN has in place of the VQGAN's configuration.

    Attributes:
        tokenizer: The VQGAN: the folder of one, or of a model that has one, or "default".
    """

    tokenizer: str

    @model_validator(mode="after")
    def _check_tokenizer(self) -> _OverCodes:
        """In place of the configuration's check, which is made when the model is built."""
        return self


class _Crops(Checked):
    """What a VQGAN has beside its configuration.

    Attributes:
        crop_size: Side of the square crops that it is trained on, in pixels.
    """

    crop_size: Size = 256

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(height, width) in pixels of what it is trained on."""
        return self.crop_size, self.crop_size

    @model_validator(mode="after")
    def _check_crop(self) -> _Crops:
        model: Any = self
        if self.crop_size % model.patch_size:
            raise ValueError(
                f"crop_size: got {self.crop_size}, expected a multiple of {model.patch_size}, "
                "which is what a code stands for (two to the number of levels - 1)"
            )
        return self


def section(kind: Kind) -> type[Checked]:
    """What a recipe says of a model: its configuration, and what its kind has beside it."""
    bases: list[type[Checked]] = [_Crops] if kind.objective == "vqgan" else [_Asked]
    if issubclass(kind.model.config_class, CodeConfig):
        bases.insert(0, _OverCodes)
    fields: dict[str, Any] = {"kind": (Literal[kind.model.kind], ...)}
    return create_model(
        kind.model.config_class.__name__, __base__=(*bases, kind.model.config_class), **fields
    )


if TYPE_CHECKING:
    Model = Any
else:
    Model = Annotated[
        reduce(
            operator.or_,
            (
                section(kind)
                for kind in kinds().values()
                if kind.objective in ("inpainting", "vqgan")
            ),
        ),
        Field(discriminator="kind"),
    ]
