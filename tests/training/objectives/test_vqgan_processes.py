"""Training a VQGAN in several processes: what two do is what one does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.objectives.test_vqgan import (
    JUDGED,
    dead,
    gradients,
    images,
    make,
)
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from vicl.training.objectives.objective import Losses
from vicl.training.settings import VQGANLoss


def backward(objective: nn.Module, image: Tensor, step: int) -> Losses:
    found: Losses = objective(image, None, step)
    torch.stack(list(found.losses.values())).sum().backward()
    return found


def one_of_two(rank: int, folder: str) -> None:
    """A process that trains on its half of the images; writes what it ends with."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/at", rank=rank, world_size=2
    )
    objective = make(VQGANLoss(discriminator=JUDGED, revive_after=2))
    wrapped = DistributedDataParallel(objective, find_unused_parameters=True)
    for step in range(3):
        objective.zero_grad()
        found = backward(wrapped, images(4)[2 * rank : 2 * rank + 2], step)
    state = {"codebook": objective.model.codebook.detach(), "last_used": objective.last_used}
    state |= {f"g.{k}": v for k, v in gradients(objective).items()}
    state |= {f"f.{k}": found.figures[k] for k in ("adaptive_weight", "perplexity", "revived")}
    torch.save(state, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    """The same gradients, codes and weight as of all four images; the same codes are revived."""
    spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    alone = make(VQGANLoss(discriminator=JUDGED, revive_after=2))
    for step in range(2):
        alone(images(4), None, step)
    gone = dead(alone, 2, after=2)
    assert first["f.revived"] == int(gone.sum()) > 0
    before = alone.model.codebook.detach()
    assert torch.equal(first["codebook"][~gone], before[~gone])
    assert not bool((first["codebook"] == before).all(dim=1)[gone].any())
    # One process would move them to latents of another batch.
    with torch.no_grad():
        alone.model.codebook.copy_(first["codebook"])
    alone.settings = VQGANLoss(discriminator=JUDGED, revive_after=None)
    figures = backward(alone, images(4), 2).figures
    assert first["f.adaptive_weight"] == pytest.approx(float(figures["adaptive_weight"]), rel=1e-3)
    assert first["f.perplexity"] == pytest.approx(float(figures["perplexity"]))
    for name, gradient in gradients(alone).items():
        scale = float(gradient.abs().max())
        assert torch.allclose(first[f"g.{name}"], gradient, atol=1e-3 * scale + 1e-9), name


@pytest.mark.slow
# How gradients of 1x1 convolutions lie in memory depends on the processor; it costs time only.
@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides:UserWarning")
def test_wrapped_for_several_processes(tmp_path: Path) -> None:
    """With a discriminator that begins at the second step, and rounds of gradients between."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/at", rank=0, world_size=1
    )
    try:
        loss = VQGANLoss(discriminator=JUDGED.model_copy(update={"start": 1}))
        objective, alone = make(loss), make(loss)
        wrapped = DistributedDataParallel(objective, find_unused_parameters=True)
        for step in range(3):
            with wrapped.no_sync():
                backward(wrapped, images(), step)
            backward(wrapped, images(3) * 0.5, step)
            backward(alone, images(), step)
            backward(alone, images(3) * 0.5, step)
        for name, gradient in gradients(alone).items():
            assert torch.allclose(gradients(objective)[name], gradient, rtol=1e-4, atol=1e-6)
    finally:
        distributed.destroy_process_group()
