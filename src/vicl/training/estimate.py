"""What a training run costs, before it runs: operations, memory and time.

Operations and activations are counted by running one micro batch on tensors without memory
(PyTorch's meta device), so a large model costs no more than a small one.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Generator, Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import flop_registry

from vicl.models.configs import VQGANConfig
from vicl.training.build import build_objective, model_config
from vicl.training.masking import draw_holes
from vicl.training.objectives.inpainting import NamedInpainting
from vicl.training.objectives.objective import Objective
from vicl.training.recipe.recipe import Recipe
from vicl.training.settings import DTYPES, Precision

_CONVOLUTIONS = (torch.ops.aten.convolution, torch.ops.aten.convolution_backward)


class Flops(NamedTuple):
    """Floating-point operations; a multiplication and an addition are two.

    Attributes:
        products: In matrix products.
        convolutions: In convolutions.
    """

    products: float
    convolutions: float


@dataclass(frozen=True)
class StepCost:
    """What one micro batch costs.

    Attributes:
        trained: Forward and backward pass of what is trained.
        targets: The tokenizer's pass that names the targets; nothing where there is none.
        activations: Numbers that the forward pass keeps for the backward pass.
        widest: Numbers in the largest tensor of the tokenizer's pass.
    """

    trained: Flops
    targets: Flops
    activations: float
    widest: float


def meta_objective(recipe: Recipe, tokenizer: VQGANConfig | None) -> Objective:
    """The objective of a recipe without memory for its weights.

    Args:
        recipe: The recipe.
        tokenizer: The architecture of its tokenizer; None for a model without one.

    Raises:
        ValueError: If model and tokenizer do not go together.
    """
    model = recipe.kind.model.empty(model_config(recipe, tokenizer)).to("meta")
    return build_objective(recipe, model).to("meta").train()


def step_cost(
    objective: Objective,
    size: tuple[int, int, int],
    hole: Bool[Tensor, "b H W"] | None = None,
    *,
    step: int = 0,
) -> StepCost:
    """Count what one micro batch costs.

    Args:
        objective: As :func:`meta_objective` gives it.
        size: (images, height, width).
        hole: True = to fill, on the CPU; None for a VQGAN.
        step: At which step: a discriminator begins late.
    """
    count, height, width = size
    image = torch.empty(count, 3, height, width, device="meta")
    kept = _Kept(objective)
    batch: tuple[Tensor | None, ...] = (image, hole)
    if named := isinstance(objective, NamedInpainting):
        codes = math.prod(objective.model.config.grid)
        batch = (image, hole, torch.empty(count, codes, dtype=torch.int64, device="meta"))
    with OperationCounter() as counter, kept, saved_tensors_hooks(kept.add, lambda tensor: tensor):
        losses = objective(*batch, step).losses
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
    objective.zero_grad(set_to_none=True)
    everything = counter.flops
    tokenizer = None if named else getattr(objective.model, "tokenizer", None)
    targets, widest = _naming(tokenizer, image)
    trained = Flops(
        everything.products - targets.products, everything.convolutions - targets.convolutions
    )
    return StepCost(trained, targets, float(kept.numbers), widest)


def recipe_cost(recipe: Recipe, objective: Objective, *, steps: int = 10**9) -> StepCost:
    """Count what a micro batch of a recipe costs, one process.

    Over its maskings operations are the weighted mean, and memory is the most.

    Args:
        recipe: The recipe.
        objective: As :func:`meta_objective` gives it.
        steps: Of the whole run; the last one is counted.
    """
    canvas: tuple[int, int] = recipe.model.canvas_size
    micro, _ = recipe.batch.rounds(1)
    size = (micro, *canvas)
    if not recipe.masking:
        return step_cost(objective, size, step=steps - 1)
    patch: Any = objective.model.patch_size
    weights = [masking.weight for masking in recipe.masking]
    costs: list[StepCost] = []
    for masking in recipe.masking:
        generator = Generator().manual_seed(recipe.seed)
        hole = draw_holes(masking, micro, canvas, patch, generator)
        costs.append(step_cost(objective, size, hole))

    def mean(parts: Iterable[Flops]) -> Flops:
        several = zip(*parts, strict=True)
        return Flops(*(sum(map(operator.mul, weights, one)) / sum(weights) for one in several))

    return StepCost(
        mean(cost.trained for cost in costs),
        mean(cost.targets for cost in costs),
        max(cost.activations for cost in costs),
        max(cost.widest for cost in costs),
    )


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations by PyTorch's formulas.

    PyTorch's own counter also follows the modules, which fails where a forward pass asks for
    gradients, as a VQGAN's does.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = Flops(0.0, 0.0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        operation = func._overloadpacket
        formula = flop_registry.get(operation)
        if formula is None:
            # In inference mode operations come whole that elsewhere come in parts.
            with self:
                parts = func.decompose(*args, **given)
            return func(*args, **given) if parts is NotImplemented else parts
        out = func(*args, **given)
        count = float(formula(*args, **given, out_val=out))
        products, convolutions = self.flops
        if operation in _CONVOLUTIONS:
            self.flops = Flops(products, convolutions + count)
        else:
            self.flops = Flops(products + count, convolutions)
        return out


def _naming(tokenizer: nn.Module | None, image: Tensor) -> tuple[Flops, float]:
    """(operations, numbers in the largest tensor) of naming the codes of images."""
    if tokenizer is None:
        return Flops(0.0, 0.0), 0.0
    sizes = [0]

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    handles = [module.register_forward_hook(note) for module in tokenizer.modules()]
    encode: Any = tokenizer.encode
    try:
        with torch.no_grad(), OperationCounter() as counter:
            encode(image)
    finally:
        for handle in handles:
            handle.remove()
    return counter.flops, float(max(sizes))


class _Kept(TorchFunctionMode):
    """Counts the numbers that a forward pass keeps for its backward pass, weights left out.

    Fused attention keeps its inputs, its output and one number a row; without a device there is
    no fused kernel, and the attention weights that take its place are not counted.  (Nor are those
    that a CPU keeps in bfloat16, which trains without it.)
    """

    def __init__(self, objective: nn.Module) -> None:
        super().__init__()
        self.numbers = 0
        # The storages themselves, so that none is freed and its place given to another.
        self._known: dict[int, Tensor] = {self._key(p): p for p in objective.parameters()}
        self._fused = False

    @staticmethod
    def _key(tensor: Tensor) -> int:
        return int(tensor.untyped_storage()._cdata)

    def add(self, tensor: Tensor) -> Tensor:
        """To be called on what is kept; gives it back."""
        key = self._key(tensor)
        if not self._fused and key not in self._known and tensor.device.type == "meta":
            self._known[key] = tensor
            self.numbers += tensor.untyped_storage().nbytes() // 4
        return tensor

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **given)
        self._fused = True
        out: Tensor = func(*args, **given)
        self._fused = False
        for tensor in (*args[:3], out):
            self.add(tensor)
        self.numbers += out.numel() // out.shape[-1]
        return out


class Memory(NamedTuple):
    """Bytes on the device of one process.

    Attributes:
        weights: All of them, in float32, and their copies in lower precision.
        gradients: Of what is trained.
        moments: The optimisers' two.
        averages: Of the weights, where they are kept.
        activations: Of one micro batch: what is kept for the backward pass, or what the tokenizer
            holds at once, whichever is more.
    """

    weights: float
    gradients: float
    moments: float
    averages: float
    activations: float


def count_weights(objective: Objective) -> tuple[dict[str, int], int]:
    """(trained weights of each part by its name, frozen weights)."""
    trained = {
        name: sum(p.numel() for p in part.parameters() if p.requires_grad)
        for name, part in objective.parts().items()
    }
    return trained, sum(p.numel() for p in objective.parameters()) - sum(trained.values())


def memory(recipe: Recipe, objective: Objective, cost: StepCost) -> Memory:
    """Estimate the memory of a process that holds all weights.

    Three of the tokenizer's largest tensors are taken to be alive at once, and activations to be
    all of the run's precision (under autocast some are not).
    """
    parts, frozen = count_weights(objective)
    trained = sum(parts.values())
    low, target = (DTYPES[p].itemsize for p in (recipe.precision, recipe.target_precision))
    tokenizer: nn.Module | None = getattr(objective.model, "tokenizer", None)
    copied = 0
    if tokenizer is not None and not isinstance(objective, NamedInpainting):
        copied = sum(p.numel() for p in tokenizer.parameters())
    return Memory(
        weights=4.0 * (trained + frozen) + (low * trained if low < 4 else 0) + target * copied,
        gradients=4.0 * trained,
        moments=8.0 * trained,
        averages=4.0 * parts["model"] if recipe.ema else 0.0,
        activations=max(low * cost.activations, 3 * target * cost.widest),
    )


def measure_rates(device: torch.device, precision: Precision, width: int) -> Flops:
    """Operations a second of this device, in products and in convolutions of a model's width.

    Args:
        device: Where to measure; takes about a second.
        precision: Of the arithmetic.
        width: Channels.
    """
    kind = DTYPES[precision]
    with torch.no_grad():
        tokens = torch.ones(4096, width, device=device, dtype=kind)
        weight = torch.ones(width, 4 * width, device=device, dtype=kind)
        products = _rate(lambda: tokens @ weight, 2 * 4096 * width * 4 * width, device)
        channels = min(width, 256)
        image = torch.ones(4, channels, 64, 64, device=device, dtype=kind)
        kernel = torch.ones(channels, channels, 3, 3, device=device, dtype=kind)
        image = image.contiguous(memory_format=torch.channels_last)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        operations = 2 * 4 * 64 * 64 * channels * channels * 9
        convolutions = _rate(lambda: F.conv2d(image, kernel, padding=1), operations, device)
    return Flops(products, convolutions)


def _rate(run: Callable[[], Tensor], operations: int, device: torch.device) -> float:
    """Operations a second of repeated runs, the first ones left out."""

    def now() -> float:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        return time.perf_counter()

    timer = Timer("run()", timer=now, globals={"run": run}, num_threads=torch.get_num_threads())
    return operations / timer.blocked_autorange(min_run_time=0.1).mean


def step_seconds(recipe: Recipe, cost: StepCost, rates: Flops) -> float:
    """Seconds of an optimiser step of one process: its operations at measured rates.

    What is no product and no convolution (normalisation, activation functions, the optimiser)
    is not in it, nor is waiting for data.
    """
    _, rounds = recipe.batch.rounds(1)
    parts = (cost.trained, cost.targets)
    once = sum(p.products / rates.products + p.convolutions / rates.convolutions for p in parts)
    return rounds * once
