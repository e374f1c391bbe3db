"""The VQGAN's objective: draw images again from few codes, so that a discriminator believes them.

A step, besides the usual: the adversarial term is weighed against the reconstruction by their
gradients at the decoder's last layer, the discriminator starts late, and codes that no image uses
are moved to where images are.

Source: Esser, Rombach and Ommer 2021, arXiv:2012.09841, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.cluster import KMeans
from torch import Tensor, distributed, nn
from torch.nn import functional as F  # noqa: N812

from vicl.metrics.perceptual import PerceptualDistance, load_perceptual
from vicl.models.vqgan import VQGAN
from vicl.training.objectives.discriminator import (
    PatchDiscriminator,
    discriminator_loss,
    generator_loss,
)
from vicl.training.objectives.objective import Losses, Objective, without_autocast
from vicl.training.seeds import Purpose, numbers
from vicl.training.settings import VQGANLoss

_WINDOW = 1000
"""Steps within which a code counts as in use, where none is ever revived."""
_MOST = 1e4
"""Of the adaptive weight."""
_SCALE = 1024.0
"""By which losses are multiplied on the way to a gradient and divided afterwards: in float16 those
of single pixels would else round to 0."""


class VQGANObjective(Objective):
    """A VQGAN, its discriminator, and the losses of both.

    The model's loss is the mean absolute error, in units of [-1, 1], plus the perceptual distance,
    the codebook's term, the commitment and the adversarial term, each with its weight.

    What training has to know:

    - Before `discriminator.start` there is no loss "discriminator": the loop steps no optimiser
      that has no loss (`rests`).
    - Before `quantise_after` latents are drawn as they are, the codes stay where they began, and
      the figures are those of the reconstruction alone; who asks the model itself, as evaluation on
      the way does, gets what these codes say, which is nothing.
    - In eval mode there is no adversarial term, no code is counted and none moves; no gradient is
      needed then.
    - The forward pass moves codes, which no optimiser knows of: what an optimiser remembers of a
      revived code stays, and fades in a few steps.  Where weights are sharded (FSDP), such a move
      would be lost.
    - Several processes have one adaptive weight and one count of the codes, those of all their
      images together.  Where gradients are accumulated, each round has its own weight.

    Figures, by name: `l1`, `perceptual`, `commitment` (before its weight), `perplexity` of the
    batch's codes, `codes_in_use` (share of those used within the last `revive_after` steps); once
    there is a discriminator `adversarial` and `adaptive_weight`; in a step that revives codes,
    `revived` (how many).

    Attributes:
        model: The VQGAN.
        discriminator: None if there is none.
        last_used: The last step that used each code.
    """

    model: VQGAN
    last_used: Tensor
    rests = True

    def __init__(self, model: VQGAN, loss: VQGANLoss, *, seed: int) -> None:
        """Put a VQGAN to training.

        Args:
            model: The VQGAN.
            loss: The terms and their weights.
            seed: Of the discriminator's weights, and of the places that dead codes move to.

        Raises:
            FileError: If the perceptual loss's weights cannot be read; see
                :func:`vicl.metrics.perceptual.load_perceptual`.
        """
        super().__init__()
        self.model = model
        self.settings = loss
        self.seed = seed
        self.discriminator: PatchDiscriminator | None = None
        if loss.discriminator is not None:
            self.discriminator = PatchDiscriminator(loss.discriminator, seed=seed)
        # In a list, so that it is no part of what is trained, saved or shared between processes.
        self._perceptual: list[tuple[PerceptualDistance, float]] = []
        if loss.perceptual is not None:
            distance = load_perceptual(loss.perceptual.weights)
            self._perceptual = [(distance, loss.perceptual.weight)]
        self._placed = False
        self._window = loss.revive_after or _WINDOW
        self.register_buffer("last_used", torch.full((model.codebook_size,), -self._window))

    def parts(self) -> Mapping[str, nn.Module]:
        """See :meth:`Objective.parts`."""
        judge = self.discriminator
        return {"model": self.model} | ({} if judge is None else {"discriminator": judge})

    def forward(
        self,
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"] | None,
        step: int,
    ) -> Losses:
        """Compute the losses of a batch; `hole` makes no difference.

        See :meth:`vicl.training.objectives.inpainting.Inpainting.forward`.
        """
        latents = self.model.latents(image)
        if self.training and step < self.settings.quantise_after:
            losses, figures = self._compare(2 * image - 1, self.model.render(latents), step)
            # So that the optimiser knows the codes from the first step, and a run can go on.
            losses["model"] = losses["model"] + 0.0 * self.model.codebook.sum()
            return Losses(losses, figures)
        if self.training and step == self.settings.quantise_after > 0 and not self._placed:
            self._place_codes(latents.detach())
            self._placed = True  # not again in the step's other rounds
        revived = self._revive(latents.detach(), step)
        # Low precision would name other codes than the saved model does.
        with without_autocast(latents.device):
            codes = self.model.nearest(latents.detach())
            vectors = F.embedding(codes, self.model.codebook).permute(0, 3, 1, 2)  # (b, c, h, w)
        # Forward the vectors; backward as though they were the latents.
        straight = latents + (vectors - latents).detach()
        drawn = self.model.render(straight)
        losses, figures = self._compare(2 * image - 1, drawn, step)
        commitment = F.mse_loss(latents, vectors.detach())
        losses["model"] = (
            losses["model"]
            + F.mse_loss(vectors, latents.detach())
            + self.settings.commitment * commitment
        )
        figures |= {"commitment": commitment.detach(), **self._usage(codes, step), **revived}
        return Losses(losses, figures)

    def _compare(
        self, real: Float[Tensor, "b 3 H W"], drawn: Float[Tensor, "b 3 H W"], step: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses that look at the drawing; all but the codebook's."""
        judge, settings = self.discriminator, self.settings.discriminator
        if judge is None or settings is None or not self.training or step < settings.start:
            loss, figures = self._reconstruction(real, drawn)
            return {"model": loss}, figures
        # The networks that judge are passed through once, up to a copy of the drawing; from there
        # on both gradients are known, are weighed, and go through the model together.  The
        # discriminator gets nothing of the model's term, nor the model of the discriminator's.
        seen = drawn.detach().requires_grad_()
        loss, figures = self._reconstruction(real, seen)
        scores = judge(seen)
        adversarial = generator_loss(scores)
        toward = _gradient(loss, seen)
        against = _gradient(adversarial, seen, retain_graph=True)
        adaptive = self._adaptive_weight(drawn, toward, against)
        weight = settings.weight * adaptive
        value = (loss + weight * adversarial).detach()
        losses = {
            "model": _with_gradient(value, drawn, toward + weight * against),
            "discriminator": discriminator_loss(judge(real), scores),
        }
        figures |= {"adversarial": adversarial.detach(), "adaptive_weight": adaptive}
        return losses, figures

    def _reconstruction(
        self, real: Float[Tensor, "b 3 H W"], drawn: Float[Tensor, "b 3 H W"]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Absolute error in units of [-1, 1], and perceptual distance."""
        loss = F.l1_loss(drawn, real)
        figures = {"l1": loss.detach()}
        for distance, weight in self._perceptual:
            perceptual = distance.to(real.device)((drawn + 1) / 2, (real + 1) / 2).mean()
            figures["perceptual"] = perceptual.detach()
            loss = loss + weight * perceptual
        return loss, figures

    def _adaptive_weight(
        self,
        drawn: Float[Tensor, "b 3 H W"],
        toward: Float[Tensor, "b 3 H W"],
        against: Float[Tensor, "b 3 H W"],
    ) -> Float[Tensor, ""]:
        """Weigh the adversarial term so that the last layer feels as much of it as of the rest.

        Args:
            drawn: The drawing.
            toward: Gradient of the reconstruction's loss at it.
            against: Gradient of the adversarial term.

        Source: Esser et al. 2021, equation 7; the gradient's limit is the published code's.
        """
        last = self.model.decoder.conv_out.weight
        sizes: list[Tensor] = []
        for pull in (toward, against):
            (gradient,) = torch.autograd.grad(drawn, last, pull * _SCALE, retain_graph=True)
            whole = _sum_over_processes(gradient.float() / _SCALE)
            sizes.append((whole / distributed.get_world_size() if _several() else whole).norm())
        return (sizes[0] / (sizes[1] + 1e-4)).clamp(0, _MOST)

    @torch.no_grad()
    def _usage(self, codes: Int[Tensor, "b h w"], step: int) -> dict[str, Tensor]:
        """Note which codes are used, and say how evenly."""
        flat = codes.flatten()
        # Not bincount, which on a GPU waits for the largest code.
        counts = torch.zeros_like(self.last_used).scatter_add_(0, flat, torch.ones_like(flat))
        _sum_over_processes(counts)
        if self.training:
            self.last_used.copy_(torch.where(counts > 0, step, self.last_used))
        entropy = torch.special.entr(counts / counts.sum()).sum()
        in_use = (step - self.last_used < self._window).float().mean()
        return {"perplexity": entropy.exp(), "codes_in_use": in_use}

    @torch.no_grad()
    def _place_codes(self, latents: Float[Tensor, "b c h w"]) -> None:
        """Put the codes at the centres of a batch's latents, as far as there are so many latents.

        Codes that begin at random are drawn to where most latents are, and tell light from dark
        long before they tell colours.

        Source: Lancucki et al. 2020, arXiv:2005.08520, section 3 (data-dependent codebooks).
        """
        vectors = latents.permute(0, 2, 3, 1).flatten(0, 2).float().cpu().numpy()  # (b h w, c)
        codes = self.model.codebook.clone()
        first = not _several() or distributed.get_rank() == 0
        if first and bool(np.isfinite(vectors).all()):  # else the loss tells
            distinct = np.unique(vectors, axis=0)
            count = min(len(codes), len(distinct))
            seed = int(numbers(self.seed, Purpose.REVIVAL, 0).integers(2**32))
            clusters = KMeans(count, n_init=1, max_iter=10, random_state=seed)
            codes[:count] = torch.from_numpy(clusters.fit(vectors).cluster_centers_).to(codes)
        self.model.codebook.copy_(_from_first_process(codes))

    @torch.no_grad()
    def _revive(self, latents: Float[Tensor, "b c h w"], step: int) -> dict[str, Tensor]:
        """Move dead codes onto latents of the batch, every `revive_after` steps.

        Which latents, follows from the seed, the step and the batch alone. With several processes
        they are those of the first.
        """
        # Not at the first step: an untrained encoder tells little apart, so codes put there stay
        # together, and a few serve all images for longer than with codes left where they began.
        every = self.settings.revive_after
        begun = step - self.settings.quantise_after
        if not self.training or every is None or begun == 0 or begun % every:
            return {}
        vectors = latents.permute(0, 2, 3, 1).flatten(0, 2)  # (b h w, c)
        order = numbers(self.seed, Purpose.REVIVAL, step).permutation(len(vectors))
        # Each latent at most once as long as there are enough of them.
        chosen = torch.from_numpy(np.resize(order, len(self.last_used)))
        moved = _from_first_process(vectors[chosen.to(vectors.device)].to(self.model.codebook))
        dead = step - self.last_used >= self._window
        self.model.codebook.copy_(torch.where(dead[:, None], moved, self.model.codebook))
        return {"revived": dead.sum().float()}


def _gradient(loss: Tensor, of: Tensor, *, retain_graph: bool = False) -> Tensor:
    """Gradient of `loss` with respect to `of`, and of nothing else."""
    (gradient,) = torch.autograd.grad(loss * _SCALE, of, retain_graph=retain_graph)
    return gradient / _SCALE


def _with_gradient(value: Tensor, at: Tensor, gradient: Tensor) -> Tensor:
    """A scalar of a given value, with a given gradient at `at`."""
    product = (at * gradient).sum()
    return value + (product - product.detach())


def _several() -> bool:
    """Whether there are processes beside this one."""
    return distributed.is_available() and distributed.is_initialized()


def _sum_over_processes(tensor: Tensor) -> Tensor:
    """The sum, in place, of what each process has; the tensor itself where there is one."""
    if _several():
        distributed.all_reduce(tensor)
    return tensor


def _from_first_process(tensor: Tensor) -> Tensor:
    """What the first process has, in place."""
    if _several():
        distributed.broadcast(tensor, 0)
    return tensor
