"""The training-free engine, on pictures made here and photographs from scikit-image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import data
from torch import Tensor

from vicl.engine import Filled, InContextModel
from vicl.images import resize, to_tensor
from vicl.models.analogies import Analogies
from vicl.models.analogies.matching import transfer
from vicl.models.analogies.outputs import _is_thin, kind_of
from vicl.models.analogies.view import GRID, describe
from vicl.models.floors import Copy, Identity
from vicl.prompt import Prompt

Change = Callable[[Tensor], Tensor]


def photo(name: str, side: int = 96) -> Tensor:
    """A photograph from scikit-image's wheel, stretched to a square."""
    pixels = getattr(data, name)()
    return resize(to_tensor(pixels), (side, side))


def scene(seed: int, height: int = 96, width: int = 96) -> tuple[Tensor, Tensor]:
    """An orange ellipse somewhere on grayish noise, with a blue one beside it, and its mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    rows = rng.permutation([0.3, 0.7]) * height + rng.normal(0, 0.04, 2) * height
    columns = rng.uniform(0.3, 0.7, 2) * width
    image = np.full((height, width, 3), 0.5)
    inside = []
    for row, column, colour in zip(rows, columns, ((0.9, 0.5, 0.1), (0.1, 0.3, 0.8)), strict=True):
        disc = ((y - row) / (0.17 * height)) ** 2 + ((x - column) / (0.2 * width)) ** 2 < 1
        image[disc] = colour
        inside.append(disc)
    image = np.clip(image + rng.normal(0, 0.05, image.shape), 0, 1)
    mask = torch.from_numpy(inside[0] & ~inside[1]).float()
    return torch.from_numpy(image).permute(2, 0, 1).float().contiguous(), mask.expand(3, -1, -1)


def coloured_scene(seed: int, side: int = 96) -> tuple[Tensor, Tensor]:
    """A green disc on brown soil, and its mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    row, column = rng.uniform(0.35, 0.65, 2) * side
    inside = (y - row) ** 2 + (x - column) ** 2 < (0.28 * side) ** 2
    image = np.where(inside[..., None], (0.24, 0.63, 0.24), (0.52, 0.3, 0.14))
    image = np.clip(image + rng.normal(0, 0.03, (side, side, 1)), 0, 1)
    mask = torch.from_numpy(inside).float()
    return torch.from_numpy(image).permute(2, 0, 1).float().contiguous(), mask.expand(3, -1, -1)


def outline(mask: Tensor) -> Tensor:
    """The border of a mask, as thin lines."""
    inside = mask[0].numpy() > 0.5
    border = inside & ~ndimage.binary_erosion(inside)
    return torch.from_numpy(border).float().expand(3, -1, -1)


def one(prompt: Prompt, *, samples: int = 1, seed: int = 0) -> Filled:
    return Analogies().answer([prompt], samples=samples, seed=seed)[0]


def psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * torch.log10(((a - b) ** 2).mean().clamp(min=1e-10)))


def iou(a: Tensor, b: Tensor) -> float:
    first, second = a[0] > 0.5, b[0] > 0.5
    return float((first & second).sum() / (first | second).sum())


def hue_shift(image: Tensor) -> Tensor:
    return image[[1, 2, 0]]


def sepia(image: Tensor) -> Tensor:
    weights = torch.tensor([[0.39, 0.77, 0.19], [0.35, 0.69, 0.17], [0.27, 0.53, 0.13]])
    return torch.einsum("ij,jhw->ihw", weights, image).clamp(0, 1)


def posterise(image: Tensor) -> Tensor:
    return (image * 255 / 64).floor().clamp(0, 3) / 3


CHANGES: dict[str, tuple[Change, float]] = {
    "negative": (lambda image: 1 - image, 15.0),
    "hue": (hue_shift, 15.0),
    "sepia": (sepia, 10.0),
    "posterise": (posterise, 5.0),
    "brighter": (lambda image: (1.3 * image + 0.05).clamp(0, 1), 10.0),
    "gray": (lambda image: image.mean(dim=0, keepdim=True).expand(3, -1, -1), 10.0),
    "threshold": (
        lambda image: (image.mean(dim=0, keepdim=True) > 0.45).float().repeat(3, 1, 1),
        3,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_recolouring_beats_the_floors(name: str) -> None:
    change, margin = CHANGES[name]
    example, query = photo("astronaut"), photo("chelsea")
    prompt = Prompt(((example, change(example)),), query)
    truth = change(query)
    floors = [psnr(floor.answer([prompt])[0].image, truth) for floor in (Copy(), Identity())]
    assert psnr(one(prompt).image, truth) > max(floors) + margin


@pytest.mark.parametrize(("noise", "margin"), [(0.1, 3.0), (0.2, 5.0)])
def test_denoising_beats_the_noisy_query(noise: float, margin: float) -> None:
    def noisy(image: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return (image + noise * torch.randn(image.shape, generator=generator)).clamp(0, 1)

    example, query = photo("astronaut", 128), photo("coffee", 128)
    prompt = Prompt(((noisy(example, 0), example),), noisy(query, 1))
    assert psnr(one(prompt).image, query) > psnr(noisy(query, 1), query) + margin


def test_sharpening_beats_the_blurred_query() -> None:
    def blurred(image: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(image[None], (1, 1, 1, 1), mode="replicate")
        return torch.nn.functional.avg_pool2d(padded, 3, stride=1)[0]

    example, query = photo("astronaut", 128), photo("chelsea", 128)
    prompt = Prompt(((blurred(example), example),), blurred(query))
    assert psnr(one(prompt).image, query) > psnr(blurred(query), query) + 3


def test_made_up_colours_are_held_back() -> None:
    """Colours of a photograph do not follow from another's; a palette over gray values does."""

    def gray(image: Tensor) -> Tensor:
        return image.mean(dim=0, keepdim=True).expand(3, -1, -1)

    def chroma(image: Tensor) -> Tensor:
        return image - gray(image)

    example, query = photo("astronaut"), photo("chelsea")
    answer = one(Prompt(((gray(example), example),), gray(query))).image
    assert chroma(answer).abs().mean() < 0.5 * chroma(example).abs().mean()

    def palette(image: Tensor) -> Tensor:
        level = gray(image)
        return torch.stack([level[0], level[0] ** 2, 1 - level[0]])

    told = one(Prompt(((gray(example), palette(example)),), gray(query))).image
    assert psnr(told, palette(query)) > 25


def test_mask_of_an_object_by_its_colour() -> None:
    scores, floors = [], []
    for seed in (0, 2):
        (image, mask), (query, truth) = scene(seed), scene(seed + 1)
        prompt = Prompt(((image, mask),), query)
        scores.append(iou(one(prompt).image, truth))
        floors.append(iou(Copy().answer([prompt])[0].image, truth))
    assert np.mean(scores) > 0.75
    assert np.mean(scores) > np.mean(floors) + 0.3


def test_lines_from_gradients() -> None:
    def edges(mask: Tensor) -> Tensor:
        solid = mask[0] > 0.5
        change = torch.zeros_like(solid)
        change[1:] |= solid[1:] ^ solid[:-1]
        change[:, 1:] |= solid[:, 1:] ^ solid[:, :-1]
        return change.float().expand(3, -1, -1)

    (image, mask), (query, truth) = scene(0, 160, 160), scene(1, 160, 160)
    assert kind_of([edges(mask).permute(1, 2, 0).numpy()]).name == "lines"
    answer = one(Prompt(((image, edges(mask)),), query)).image[0]
    on = edges(truth)[0] > 0.5
    assert answer[on].mean() > 3 * answer[~on].mean()


def test_kinds() -> None:
    def kind(image: Tensor) -> tuple[str, int]:
        found = kind_of([image.permute(1, 2, 0).numpy()])
        return found.name, len(found.colours)

    mask = scene(0)[1]
    assert kind(mask) == ("mask", 2)
    assert kind(1 - mask) == ("mask", 2)
    assert kind(resize(mask, (57, 83))) == ("mask", 2)
    assert kind(torch.zeros(3, 20, 20)) == ("mask", 1)
    tricolour = torch.zeros(3, 60, 60)
    tricolour[0, :20] = tricolour[1, 20:40] = tricolour[2, 40:] = 1
    assert kind(tricolour) == ("mask", 3)
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64)
    assert kind(ramp)[0] == "picture"
    assert kind(photo("astronaut"))[0] == "picture"


def test_a_palette_of_three_colours_is_answered_in_its_colours() -> None:
    def labelled(seed: int) -> tuple[Tensor, Tensor]:
        image, mask = scene(seed)
        blue = (image[2] > 0.6) & (image[0] < 0.4)
        output = torch.zeros_like(image)
        output[0] = mask[0]
        output[1] = blue.float()
        return image, output

    (image, output), (query, truth) = labelled(0), labelled(1)
    answer = one(Prompt(((image, output),), query)).image
    assert ((answer > 0.5) == (truth > 0.5)).all(dim=0).float().mean() > 0.93


def test_the_same_every_time_and_in_a_batch() -> None:
    image, mask = scene(0)
    first = photo("astronaut")
    prompts = [
        Prompt(((image, mask),), scene(1)[0]),
        Prompt(((first, 1 - first),), photo("chelsea")),
        Prompt(((image, mask),), scene(2)[0]),
    ]
    for prompt, batched in zip(prompts, Analogies().answer(prompts), strict=True):
        alone = one(prompt)
        assert torch.equal(alone.image, batched.image)
        assert alone.confidence is not None
        assert batched.confidence is not None
        assert torch.equal(alone.confidence, batched.confidence)


def test_examples_are_learned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from vicl.models.analogies import engine as module

    calls: list[int] = []
    learn = module._learn

    def counting(examples: list[tuple[Tensor, Tensor]], seed: int) -> object:
        calls.append(len(examples))
        return learn(examples, seed)

    monkeypatch.setattr(module, "_learn", counting)
    image, mask = scene(0)
    engine = Analogies()
    engine.answer([Prompt(((image, mask),), scene(seed)[0]) for seed in (1, 2)])
    engine.answer([Prompt(((image, mask),), scene(3)[0])])
    assert calls == [1]
    engine.answer([Prompt(((image, mask),), scene(3)[0])], seed=1)
    engine.answer([Prompt(((image, 1 - mask),), scene(3)[0])])
    assert calls == [1, 1, 1]


def test_an_example_that_was_changed_in_place_is_learned_anew() -> None:
    first, query = photo("astronaut").clone(), photo("chelsea")
    output = (1 - first).contiguous()
    engine = Analogies()
    engine.answer([Prompt(((first, output),), query)])
    output.copy_(first)
    assert psnr(engine.answer([Prompt(((first, output),), query)])[0].image, query) > 40


@pytest.mark.slow
def test_several_examples_of_different_sizes_one_without_an_object() -> None:
    (a, a_mask), (b, _), (query, truth) = scene(0, 80, 120), scene(2, 100, 64), scene(1, 90, 96)
    empty = b.clone()
    orange = (b[0] > 0.65) & (b[2] < 0.4)
    empty[:, orange] = 0.5
    prompt = Prompt(((a, a_mask), (empty, torch.zeros(3, 100, 64)), scene(4)), query)
    answer = one(prompt)
    assert answer.image.shape == (3, 90, 96)
    assert iou(answer.image, truth) > 0.6


def test_no_object_in_any_example_is_none_in_the_answer() -> None:
    image, _ = scene(0)
    answer = one(Prompt(((image, torch.zeros_like(image)),), scene(1, 40, 50)[0]))
    assert answer.image.shape == (3, 40, 50)
    assert answer.image.max() == 0


@pytest.mark.slow
def test_samples_differ_and_are_ranked() -> None:
    image, mask = scene(0)
    for prompt in (
        Prompt(((image, mask),), scene(1)[0]),
        Prompt(((photo("astronaut"), sepia(photo("astronaut"))),), photo("chelsea")),
    ):
        best = one(prompt, samples=3)
        answers = [best, *best.alternatives]
        assert 2 <= len(answers) <= 3
        assert torch.equal(best.image, one(prompt).image)
        likelihoods = [float(a.log_likelihood) for a in answers if a.log_likelihood is not None]
        assert len(likelihoods) == len(answers)
        assert likelihoods == sorted(likelihoods, reverse=True)
        assert not torch.equal(answers[0].image, answers[1].image)


@pytest.mark.parametrize("kind", ["mask", "picture", "lines"])
def test_ranges(kind: str) -> None:
    image, mask = scene(0)
    output = {"mask": mask, "picture": 1 - image, "lines": torch.zeros_like(image)}[kind]
    if kind == "lines":
        output[:, ::24] = 1
    answer = one(Prompt(((image, output),), scene(1, 70, 90)[0]))
    assert answer.image.shape == (3, 70, 90)
    assert answer.image.dtype == torch.float32
    assert answer.confidence is not None
    assert answer.confidence.shape == (70, 90)
    for values in (answer.image, answer.confidence):
        assert torch.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1


def test_confidence_is_lower_where_the_answer_is_wrong() -> None:
    image, mask = photo("astronaut"), torch.zeros(3, 96, 96)
    mask[:, 10:45, 35:60] = 1  # the face, at another place in the query
    query, truth = image.roll(12, dims=2), mask.roll(12, dims=2)
    answer = one(Prompt(((image, mask),), query))
    assert answer.confidence is not None
    wrong = (answer.image[0] > 0.5) != (truth[0] > 0.5)
    assert wrong.any()
    assert answer.confidence[wrong].mean() < answer.confidence[~wrong].mean() - 0.1


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (1, 40), (33, 1)])
@pytest.mark.parametrize("kind", ["mask", "picture"])
def test_tiny_images(size: tuple[int, int], kind: str) -> None:
    height, width = size
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    output = 1 - image
    if kind == "mask":
        output = torch.zeros(3, height, width)
        output[:, height // 2 :, width // 2 :] = 1
    answer = one(Prompt(((image, output),), image)).image
    assert answer.shape == image.shape
    assert torch.isfinite(answer).all()


def test_constant_images() -> None:
    flat = torch.full((3, 32, 48), 0.4)
    image, mask = scene(0)
    for prompt in (
        Prompt(((image, mask),), flat),
        Prompt(((flat, mask),), image),
        Prompt(((flat, 1 - flat),), flat),
    ):
        answer = one(prompt).image
        assert answer.shape == to_tensor(prompt.query).shape
        assert torch.isfinite(answer).all()


def test_correspondence_follows_a_shifted_picture() -> None:
    image = photo("astronaut", 160)
    known, asked = describe(image[:, :128, :128]), describe(image[:, 16:144, 12:140])
    mask = np.zeros((GRID, GRID), np.float32)
    mask[12:20, 10:18] = 1
    carried = transfer(known, mask, asked, colour=0.3, smoothing=2.0)
    expected = np.zeros((GRID, GRID), bool)
    expected[12 - 4 : 20 - 4, 10 - 3 : 18 - 3] = True
    found = carried > 0.5
    assert (found & expected).sum() / (found | expected).sum() > 0.7


def test_it_is_an_engine() -> None:
    engine = Analogies()
    assert isinstance(engine, InContextModel)
    assert engine.name == "analogies"


@pytest.mark.parametrize("side", [24, 61, 200, 500])
def test_thin_is_what_an_opening_with_the_whole_square_says(side: int) -> None:
    """Against SciPy's binary opening, on marks of every width up to where they survive."""
    rng = np.random.default_rng(side)
    square = 2 * max(1, round(side / 160)) + 1
    ends = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    for width in range(1, square + 3):
        marks = np.zeros((side, side), bool)
        for start in rng.integers(0, side - width, 3):
            marks[start : start + width] = True
        opened = ndimage.binary_opening(marks, np.ones((square, square), bool))
        output = np.repeat(marks[..., None], 3, axis=2).astype(np.float32)
        assert _is_thin(output, ends) == (opened.sum() < 0.3 * marks.sum())
