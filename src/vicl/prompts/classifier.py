"""What every method makes: a classifier of which only a part is learned, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from vicl.prompts.backbones.backbone import Backbone, Reading

Batches = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Goes through the training images once: images (b, 3, s, s) in [0, 1], classes (b)."""


class Classifier(nn.Module):
    """Images in, a number for each class out: a backbone, and what is learned beside it.

    What is learned is what has `requires_grad`, set by object (:meth:`freeze_all_but`), never by
    name. The state (`state_dict`) is that and the buffers outside the backbone, so that it has
    kilobytes where the backbone stays as it is; the backbone stays in evaluation mode, too.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.

    Raises:
        ValueError: If there are fewer than two classes, or one comes twice.
    """

    head_only = False
    """Whether the backbone's features of an image never change while this learns."""

    reading: Reading | None = None
    """How images were brought to its side when it learned; None: as the backbone says."""

    temperature: float = 1.0
    """By what logits are divided where they become scores; fitted on validation images."""

    whole = False
    """Whether the backbone learns as a whole: in training mode, its running averages kept, too."""

    def __init__(self, backbone: Backbone, classes: Sequence[str]) -> None:
        super().__init__()
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise ValueError(
                f"classes: got {', '.join(classes) or 'none'}; expected two or more, each once"
            )
        self.backbone = backbone
        self.classes = tuple(classes)
        hooked: Any = self
        hooked.register_state_dict_post_hook(_leave_frozen_out)
        hooked.register_load_state_dict_post_hook(_need_no_frozen)

    @property
    def side(self) -> int:
        """Side of the square images that it is given, in pixels: most often the backbone's."""
        return self.backbone.side

    def forward(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c"]:
        """Logits of the classes, of images in [0, 1] at :attr:`side`."""
        return self.read(self.backbone.features(self.backbone.normalise(image)))

    def read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """Logits of the classes, of the backbone's features; methods without it have `forward`."""
        raise NotImplementedError

    def scores(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """How likely each class is, in [0, 1]; the classes of an image sum to 1."""
        return (logits.float() / self.temperature).softmax(dim=1)

    def prepare(self, epoch: int, batches: Batches) -> None:
        """Learn by counting, before an epoch (counted from 0); most methods have nothing to do."""

    def penalty(self) -> Tensor | None:
        """What is added to the loss; None: nothing."""
        return None

    def tidy(self) -> None:
        """Keep what is learned within its bounds, after a step; most have none."""

    def shown(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
        """Images as the backbone gets them, in [0, 1], for pictures of what was learned."""
        return image

    def pictured(self) -> dict[str, Float[Tensor, "3 h w"]]:
        """What is learned, where it is an image, by name: RGB in [0, 1], to be looked at."""
        return {}

    def freeze_all_but(self, learned: Iterable[nn.Parameter]) -> None:
        """Say what is learned; the same objects, whatever they are called."""
        wanted = {id(parameter) for parameter in learned}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in wanted)

    def train(self, mode: bool = True) -> Classifier:
        """As of any module; a backbone that is not learned as a whole stays in evaluation mode."""
        super().train(mode)
        if not self.whole:
            self.backbone.eval()
        return self


def trainable_parameters(module: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _leave_frozen_out(
    module: Any, state: dict[str, Tensor], prefix: str, local_metadata: dict[str, Any]
) -> None:
    for name in _frozen(module):
        state.pop(prefix + name, None)


def _need_no_frozen(module: Any, incompatible: Any) -> None:
    names = _frozen(module)
    incompatible.missing_keys[:] = [
        key
        for key in incompatible.missing_keys
        if not any(key == name or key.endswith(f".{name}") for name in names)
    ]


def _frozen(module: Classifier) -> set[str]:
    """Names of what is not learned: frozen weights, and the buffers of the backbone."""
    weights = {name for name, p in module.named_parameters() if not p.requires_grad}
    if module.whole:
        return weights
    buffers = {name for name, _ in module.named_buffers() if name.startswith("backbone.")}
    return weights | buffers
