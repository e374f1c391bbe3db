"""The VQGAN's objective: its terms by hand, who gets which gradient, and the codes' revival."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pictures import picture
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.files.packaged import PHOTOS
from vicl.metrics.perceptual import PerceptualDistance, Trunk
from vicl.models.configs import VQGANConfig
from vicl.models.vqgan import VQGAN
from vicl.training.objectives import vqgan as vqgan_objective
from vicl.training.objectives.discriminator import PatchDiscriminator
from vicl.training.objectives.vqgan import VQGANObjective
from vicl.training.settings import Discriminator, Perceptual, VQGANLoss

JUDGED = Discriminator(start=0, weight=0.8, base_width=4, layers=1)


def config(**changes: Any) -> VQGANConfig:
    """Codes of 2 x 2 pixels."""
    numbers: dict[str, Any] = {
        "base_width": 8,
        "multipliers": (1, 2),
        "blocks": 1,
        "attention_levels": (),
        "latent_dim": 8,
        "codebook_size": 16,
        "codebook_dim": 4,
        "norm_groups": 4,
    }
    return VQGANConfig(**(numbers | changes))


def make(loss: VQGANLoss, *, seed: int = 0, **changes: Any) -> VQGANObjective:
    return VQGANObjective(VQGAN(config(**changes)), loss, seed=seed).train()


def images(count: int = 2, size: int = 8) -> Tensor:
    return torch.stack([picture(size, size, seed=i) for i in range(count)])


def gradients(module: nn.Module) -> dict[str, Any]:
    return {name: p.grad for name, p in module.named_parameters()}


def stub(objective: VQGANObjective, latents: Tensor) -> None:
    """Let the latents be given numbers, and all drawings grey."""
    model: Any = objective.model
    model.latents = lambda image: latents.clone()
    model.render = lambda quantised: torch.zeros(len(latents), 3, 4, 4) + 0 * quantised.sum()


def test_terms_by_hand() -> None:
    """Two codes, 0 and 1; latents 0.25 and 0.5 from them; a grey drawing of a white image."""
    objective = make(
        VQGANLoss(commitment=0.25, discriminator=None), codebook_size=2, codebook_dim=1
    )
    with torch.no_grad():
        objective.model.codebook.copy_(torch.tensor([[0.0], [1.0]]))
    stub(objective, torch.tensor([0.25, 0.25, 0.25, 1.5]).view(1, 1, 2, 2))
    losses, figures = objective(torch.ones(1, 3, 4, 4), None, 0)
    distance = (3 * 0.25**2 + 0.5**2) / 4
    assert figures["l1"] == pytest.approx(1.0)
    assert figures["commitment"] == pytest.approx(distance)
    assert list(losses) == ["model"]
    assert float(losses["model"].detach()) == pytest.approx(1 + 1.25 * distance)
    assert figures["perplexity"] == pytest.approx(
        np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    )
    assert figures["codes_in_use"] == 1


def judge_of(objective: VQGANObjective) -> PatchDiscriminator:
    assert objective.discriminator is not None
    return objective.discriminator


def plain(objective: VQGANObjective, image: Tensor) -> dict[str, Any]:
    """All terms, and backward, written plainly; the discriminator's gradients in "judge"."""
    model, judge = objective.model, judge_of(objective)
    z = model.to_code(model.encoder(image * 2 - 1))
    flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
    codes = torch.stack([(v - model.codebook).square().sum(dim=1).argmin() for v in flat])
    e = model.codebook[codes].view(len(z), *z.shape[2:], -1).permute(0, 3, 1, 2)
    drawn = model.decoder(model.from_code(z + (e - z).detach()))
    real = image * 2 - 1
    l1 = (drawn - real).abs().mean()
    adversarial = -judge(drawn).mean()
    last = model.decoder.conv_out.weight
    (of_l1,) = torch.autograd.grad(l1, last, retain_graph=True)
    (of_adversarial,) = torch.autograd.grad(adversarial, last, retain_graph=True)
    adaptive = of_l1.square().sum().sqrt() / (of_adversarial.square().sum().sqrt() + 1e-4)
    total = (
        l1
        + ((z.detach() - e) ** 2).mean()
        + objective.settings.commitment * ((z - e.detach()) ** 2).mean()
        + objective.settings.discriminator.weight * adaptive * adversarial
    )
    model.zero_grad()
    total.backward()
    found = {"total": total.detach(), "adaptive": adaptive, "adversarial": adversarial.detach()}
    found["model"] = {k: v.clone() for k, v in gradients(model).items()}
    judge.zero_grad()
    hinge = (1 - judge(real)).clamp(min=0).mean() + (1 + judge(drawn.detach())).clamp(min=0).mean()
    hinge.backward()
    found["judge"] = {k: v.clone() for k, v in gradients(judge).items()}
    found["hinge"] = hinge.detach()
    objective.zero_grad()
    return found


def same(found: nn.Module, expected: dict[str, Tensor]) -> None:
    for name, parameter in found.named_parameters():
        scale = float(expected[name].abs().max())
        assert torch.allclose(parameter.grad, expected[name], atol=1e-4 * scale + 1e-9), name


def test_gradients_are_those_of_a_plain_computation() -> None:
    """Straight through the codes, with the adaptive weight, in one backward pass of the sum."""
    objective = make(VQGANLoss(discriminator=JUDGED))
    image = images()
    expected = plain(objective, image)
    losses, figures = objective(image, None, 0)
    assert figures["adaptive_weight"] == pytest.approx(float(expected["adaptive"]), rel=1e-3)
    assert figures["adversarial"] == pytest.approx(float(expected["adversarial"]), rel=1e-4)
    assert float(losses["model"].detach()) == pytest.approx(float(expected["total"]), rel=1e-4)
    assert float(losses["discriminator"].detach()) == pytest.approx(float(expected["hinge"]))
    assert float(expected["adaptive"]) > 0.1
    torch.stack(list(losses.values())).sum().backward()
    same(objective.model, expected["model"])
    same(objective.discriminator, expected["judge"])
    encoder = objective.model.encoder.conv_in.weight.grad
    assert float(encoder.abs().max()) > 1e-5
    used = objective.model.codebook.grad.abs().sum(dim=1) > 0
    assert 0 < int(used.sum()) < 16
    assert not any(value.requires_grad for value in figures.values())


def test_no_loss_reaches_the_other_part() -> None:
    objective = make(VQGANLoss(discriminator=JUDGED))
    assert list(objective.parts()) == ["model", "discriminator"]
    objective(images(), None, 0).losses["model"].backward()
    assert all(g is None for g in gradients(objective.discriminator).values())
    objective.zero_grad()
    objective(images(), None, 0).losses["discriminator"].backward()
    assert all(g is None for g in gradients(objective.model).values())
    assert all(g is not None for g in gradients(objective.discriminator).values())


def test_discriminator_starts_late_and_only_in_training() -> None:
    objective = make(VQGANLoss(discriminator=JUDGED.model_copy(update={"start": 3})))
    begun = make(VQGANLoss(discriminator=None))
    before, after = objective(images(), None, 2), objective(images(), None, 3)
    assert list(before.losses) == ["model"]
    assert float(before.losses["model"].detach()) == float(
        begun(images(), None, 2).losses["model"].detach()
    )
    assert list(after.losses) == ["model", "discriminator"]
    assert set(after.figures) - set(before.figures) == {"adversarial", "adaptive_weight"}
    used = objective.last_used.clone()
    with torch.no_grad():
        assert list(objective.eval()(images() * 0, None, 4).losses) == ["model"]
    assert torch.equal(objective.last_used, used)


def test_adaptive_weight_has_a_limit() -> None:
    """A discriminator that does not look gives no gradient, which nothing can make larger."""
    objective = make(VQGANLoss(discriminator=JUDGED))
    nn.init.zeros_(objective.discriminator.layers[-1].weight)
    with torch.no_grad():
        objective.model.decoder.norm_out.weight.mul_(100)
    found = objective(images(), None, 0).figures["adaptive_weight"]
    assert float(found) == 1e4


def test_perceptual_distance_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    distance = PerceptualDistance(Trunk(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (1,)))
    asked: list[str] = []

    def load(path: str) -> PerceptualDistance:
        asked.append(path)
        return distance

    monkeypatch.setattr(vqgan_objective, "load_perceptual", load)
    objective = make(VQGANLoss(discriminator=None, perceptual=Perceptual(weights="x", weight=3.0)))
    assert asked == ["x"]
    other = make(VQGANLoss(discriminator=None))
    losses, figures = objective(images(), None, 0)
    with torch.no_grad():
        q = F.embedding(other.model.nearest(other.model.latents(images())), other.model.codebook)
        drawn = other.model.render(q.permute(0, 3, 1, 2))
        expected = float(distance((drawn + 1) / 2, images()).mean())
    assert figures["perceptual"] == pytest.approx(expected, rel=1e-4)
    assert expected > 1e-3
    without = float(other(images(), None, 0).losses["model"].detach())
    assert float(losses["model"].detach()) == pytest.approx(without + 3 * expected, rel=1e-4)
    assert not any("trunk" in name for name in objective.state_dict())
    assert list(objective.parts()) == ["model"]


def test_codes_are_named_in_float32_under_autocast() -> None:
    """Bfloat16 takes 1 and 1.002 for one number."""
    objective = make(VQGANLoss(discriminator=None), codebook_size=2, codebook_dim=1)
    with torch.no_grad():
        objective.model.codebook.copy_(torch.tensor([[1.0], [1.002]]))
    stub(objective, torch.tensor([1.002, 1.0, 1.002, 1.0]).view(1, 1, 2, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses, figures = objective(torch.ones(1, 3, 4, 4), None, 0)
    assert losses["model"].dtype == torch.float32
    assert figures["perplexity"] == pytest.approx(2)
    assert float(figures["commitment"]) < 1e-12


def test_low_precision_trains_all() -> None:
    objective = make(VQGANLoss(discriminator=JUDGED))
    expected = plain(objective, images())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses, _ = objective(images(), None, 0)
    torch.stack(list(losses.values())).sum().backward()
    for part, name in ((objective.model, "model"), (objective.discriminator, "judge")):
        found = torch.cat([p.grad.flatten() for p in part.parameters()])
        exact = torch.cat([g.flatten() for g in expected[name].values()])
        assert float(F.cosine_similarity(found, exact, dim=0)) > 0.9


def dead(objective: VQGANObjective, step: int, *, after: int) -> Tensor:
    return step - objective.last_used >= after


def test_dead_codes_move_to_latents_and_no_others() -> None:
    objective = make(VQGANLoss(discriminator=None, revive_after=5))
    for step in range(5):
        figures = objective(images(), None, step).figures
        assert "revived" not in figures
    before, gone = objective.model.codebook.detach().clone(), dead(objective, 5, after=5)
    assert 0 < int(gone.sum()) < 16
    assert float(figures["codes_in_use"]) == pytest.approx(1 - int(gone.sum()) / 16)
    state = torch.random.get_rng_state()
    fresh = images() * 0.5
    assert objective(fresh, None, 5).figures["revived"] == int(gone.sum())
    assert torch.equal(state, torch.random.get_rng_state())
    after = objective.model.codebook.detach()
    assert torch.equal(after[~gone], before[~gone])
    with torch.no_grad():
        latents = objective.model.latents(fresh).permute(0, 2, 3, 1).reshape(-1, 4)
    # The quicker way to compute distances rounds differently from one processor to another.
    exact = "donot_use_mm_for_euclid_dist"
    apart = torch.cdist(after[gone], latents, compute_mode=exact).min(dim=1).values
    assert float(apart.max()) < 1e-5
    assert len(after[gone].unique(dim=0)) == int(gone.sum())
    assert "last_used" in objective.state_dict()


def revived(seed: int, *, resumed: bool = False) -> Tensor:
    """The codebook after a revival, in one go or from a saved state."""
    loss = VQGANLoss(discriminator=None, revive_after=4)
    objective = make(loss, seed=seed)
    for step in range(5):
        if resumed and step == 3:
            state = objective.state_dict()
            objective = make(loss, seed=seed)
            objective.load_state_dict(state)
        objective(images(), None, step)
    return objective.model.codebook.detach()


def test_revival_follows_from_seed_step_and_batch() -> None:
    assert torch.equal(revived(1), revived(1, resumed=True))
    assert not torch.equal(revived(1), revived(2))


def test_nothing_is_revived_where_not_asked() -> None:
    objective = make(VQGANLoss(discriminator=None, revive_after=None))
    before = objective.model.codebook.detach().clone()
    for step in (0, 1000, 2000):
        assert "revived" not in objective(images(), None, step).figures
    assert torch.equal(objective.model.codebook.detach(), before)


def test_codes_begin_at_the_centres_of_a_batch_where_asked() -> None:
    objective = make(VQGANLoss(discriminator=None, revive_after=5, quantise_after=2))
    random = objective.model.codebook.detach().clone()
    for step in (0, 1):
        found = objective(images(), None, step)
        drawn = objective.model.render(objective.model.latents(images()))
        assert torch.allclose(found.losses["model"], F.l1_loss(drawn, 2 * images() - 1))
        assert found.figures.keys() == {"l1"}
    assert torch.equal(objective.model.codebook.detach(), random)
    figures = objective(images(), None, 2).figures
    assert figures["codes_in_use"] > 0.8  # of 16, for 32 latents
    assert figures["commitment"] < objective.model.latents(images()).var() / 4
    placed = objective.model.codebook.detach().clone()
    objective(images(3), None, 2)  # another round of the same step
    assert torch.equal(objective.model.codebook.detach(), placed)
    same = make(VQGANLoss(discriminator=None, revive_after=5, quantise_after=2))
    same(images(), None, 2)
    assert torch.equal(same.model.codebook, objective.model.codebook)


def test_equal_latents_are_one_code() -> None:
    objective = make(VQGANLoss(discriminator=None, quantise_after=1))
    before = objective.model.codebook.detach().clone()
    stub(objective, torch.ones(1, 4, 2, 2))
    objective(images(1, size=4), None, 1)
    moved = (objective.model.codebook.detach() != before).any(dim=1)
    assert moved.tolist() == [True] + [False] * 15


def test_a_batch_of_fewer_latents_than_codes_places_as_many() -> None:
    objective = make(VQGANLoss(discriminator=None, quantise_after=1), codebook_size=64)
    before = objective.model.codebook.detach().clone()
    objective(images(), None, 1)
    moved = (objective.model.codebook.detach() != before).any(dim=1)
    assert moved.tolist() == [True] * 32 + [False] * 32


def learn(objective: VQGANObjective, batches: Any, *, lr: float) -> list[dict[str, float]]:
    optimiser = torch.optim.Adam(objective.model.parameters(), lr=lr, betas=(0.5, 0.9))
    seen: list[dict[str, float]] = []
    for step, batch in enumerate(batches):
        optimiser.zero_grad()
        found = objective(batch, None, step)
        found.losses["model"].backward()
        optimiser.step()
        seen.append({k: float(v) for k, v in found.figures.items()})
    return seen


@pytest.mark.slow
def test_eight_images_are_learned_by_heart() -> None:
    image = F.interpolate(images(8, 4), scale_factor=2, mode="nearest")
    objective = make(
        VQGANLoss(discriminator=None, revive_after=10),
        base_width=16,
        codebook_size=256,
        codebook_dim=8,
        latent_dim=16,
    )
    seen = learn(objective, [image] * 300, lr=3e-3)
    assert seen[0]["l1"] > 0.4
    assert seen[-1]["l1"] < 0.06


@pytest.mark.slow
def test_codes_come_into_use_on_photographs() -> None:
    """Crops of the package's photographs: many codes within 100 steps, where revived; few else."""
    paths = sorted(p for p in PHOTOS.glob("*.jpg") if "negative" not in p.name)
    photos = [np.asarray(Image.open(path).convert("RGB").resize((128, 128))) for path in paths]
    random = np.random.default_rng(0)

    def batch() -> Tensor:
        found = []
        for _ in range(8):
            top, left = random.integers(0, 128 - 32, 2)
            photo = photos[random.integers(len(photos))][top : top + 32, left : left + 32]
            found.append(torch.from_numpy(photo.copy()).permute(2, 0, 1) / 255)
        return torch.stack(found)

    batches = [batch() for _ in range(100)]
    changes: dict[str, Any] = {
        "multipliers": (1, 1, 2),
        "codebook_size": 128,
        "codebook_dim": 8,
        "latent_dim": 16,
    }
    after = {}
    for every in (10, None):
        objective = make(VQGANLoss(discriminator=None, revive_after=every), **changes)
        seen = learn(objective, batches, lr=1e-3)
        after[every] = np.mean([one["perplexity"] for one in seen[-20:]])
    assert after[10] > 30
    assert after[None] < after[10] / 2
