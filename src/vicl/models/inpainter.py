"""What every network that fills holes has: its sizes, its checks, its answers one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from vicl.engine import Filled, Sampling
from vicl.models.batches import one_by_one, send
from vicl.models.configs import Asking, CanvasConfig
from vicl.models.initialisation import seeded
from vicl.models.pretrained import Pretrained
from vicl.models.shapes import Hole, Holes, Images
from vicl.models.tokens import hole_tokens, paste


class LearnedInpainter(Pretrained, nn.Module):
    """A :class:`vicl.engine.Inpainter` with weights and a loss; built with random weights.

    Everything that depends on where the holes are is computed on the CPU and sent to the device as
    indices, so that a training step with its holes on the CPU never waits for the device.

    Attributes:
        config: The architecture.
    """

    config: CanvasConfig

    def __init__(self, config: CanvasConfig, *, seed: int = 0) -> None:
        """Build the model.

        Args:
            config: The architecture.
            seed: Of the random weights.
        """
        super().__init__()
        self.config = config
        self.name = self.kind
        self.weights_hash = None
        self.asking = Asking()
        with seeded(seed):
            self._build()

    def _build(self) -> None:
        """Make the parts, with random weights."""
        raise NotImplementedError

    @property
    def asking(self) -> Asking:
        """How it is asked; may be changed at any time, to what its architecture has."""
        return self._asking

    @asking.setter
    def asking(self, asking: Asking) -> None:
        self.config.check(asking)
        self._asking = asking

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(height, width) of the canvases that it takes, in pixels."""
        return self.config.canvas_size

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels; holes are made of whole patches."""
        return self.config.patch_size

    @property
    def most_examples(self) -> int | None:
        """How many examples it was trained to see at once; None: as many as fit."""
        return self.asking.most_examples

    @property
    def spins(self) -> int:
        """Steps along each axis by which its prompts are asked again: see :class:`Asking`."""
        return self.asking.spins

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return next(self.parameters()).dtype

    def loss(self, image: Images, hole: Hole, *, target: Images | None = None) -> Float[Tensor, ""]:
        """What training minimises, a mean over the holes' patches of the batch.

        Args:
            image: Canvases, RGB in [0, 1]; what lies under the holes is never looked at.
            hole: True = to fill; whole patches. Best on the CPU: see the class.
            target: The clean canvases; None if `image` is clean.

        Raises:
            ValueError: If no canvas has a hole, the canvases have another size than the model's,
                or a hole covers patches in part.
        """
        raise NotImplementedError

    def _holes(self, image: Tensor, hole: Tensor) -> Holes:
        """The holes as patches, on the CPU, after a check of the sizes."""
        for name, got in (("image", tuple(image.shape[-2:])), ("hole", tuple(hole.shape[-2:]))):
            if got != self.canvas_size:
                raise ValueError(
                    f"{name}: got {got} px, expected (height, width) = {self.canvas_size}, which "
                    "is what this model takes"
                )
        return hole_tokens(hole.cpu(), self.patch_size)

    def _places(self, holes: Holes) -> Int[Tensor, " m"]:
        """Indices of the holes' patches among all patches of the batch, on the device.

        Raises:
            ValueError: If there is none.
        """
        places = holes.flatten().nonzero()[:, 0]
        if not len(places):
            raise ValueError("hole: got none in the whole batch, expected at least one patch")
        return send(places, self.device)

    def _alone(self) -> bool:
        """Whether canvases go through one at a time, so that a batch gives what its members give.

        Training, which needs no such equality, takes batches whole.
        """
        return self.device.type == "cpu" and not torch.is_grad_enabled()

    def _each(self, function: Callable[..., Tensor], image: Images, holes: Holes) -> Tensor:
        """Apply `function` to canvases and holes, one at a time where that matters."""
        if self._alone():
            return one_by_one(function, image, holes)
        return function(image, holes)


class PixelInpainter(LearnedInpainter):
    """A network that draws the hole's pixels itself; it has one answer, and does not rate it."""

    @torch.no_grad()
    def inpaint(
        self,
        image: Images,
        hole: Hole,
        *,
        sampling: Sampling | None = None,
        generators: Sequence[Generator] | None = None,
    ) -> Filled:
        """See :meth:`vicl.engine.Inpainter.inpaint`; every draw is the same answer."""
        home = image.device
        image, hole = image.to(self.device), hole.to(self.device)
        drawn = self._each(self._draw, image, self._holes(image, hole))
        return Filled(paste(drawn, image, hole).to(home))

    def _draw(self, image: Images, holes: Holes) -> Images:
        """Draw whole canvases in [0, 1], of which the holes are taken."""
        raise NotImplementedError
