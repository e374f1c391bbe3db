"""The neighbours of each rule for masks: near an example of it, but meaning something else."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from vicl.tasks.classes import Classes
from vicl.tasks.masks import MaskError, read_labels

DISC = np.hypot(*(np.mgrid[:90, :120] - np.array([45, 60])[:, None, None])) < 28
RING = (np.hypot(*(np.mgrid[:90, :120] - np.array([45, 60])[:, None, None])) < 31) & ~DISC
ONE = Classes.parse(None)


def levels(*parts: tuple[Any, int], ground: int = 0) -> np.ndarray:
    mask = np.full(DISC.shape, ground, np.uint8)
    for where, value in parts:
        mask[where] = value
    return mask


def palette_image(indices: np.ndarray, colours: dict[int, tuple[int, int, int]]) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8), "L").convert("P")
    image.putdata(indices.astype(np.uint8).ravel().tolist())
    table = np.zeros((256, 3), np.uint8)
    for index, colour in colours.items():
        table[index] = colour
    image.putpalette(table.ravel().tolist())
    return image


def stored(image: Image.Image, kind: str = "PNG", **how: Any) -> Image.Image:
    data = io.BytesIO()
    image.save(data, kind, **how)
    return Image.open(io.BytesIO(data.getvalue()))


def blurred(sigma: float) -> np.ndarray:
    soft: np.ndarray = gaussian_filter(DISC.astype(float), sigma)
    return soft


def rgba(rgb: Any, alpha: np.ndarray) -> np.ndarray:
    picture = np.broadcast_to(np.asarray(rgb, np.uint8), (*DISC.shape, 3))
    stacked: np.ndarray = np.dstack([picture, alpha.astype(np.uint8)])
    return stacked


NOISE = np.random.default_rng(0).integers(1, 255, (*DISC.shape, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "mask",
    [
        levels((RING, 128), (DISC, 255)),
        levels((RING, 127), (DISC, 254)),
        levels((RING, 64), (DISC, 255)),
        levels((RING, 128), (DISC, 255)).astype(np.float32) / 255,
        np.where(DISC, 1.0, np.where(RING, 0.5, 0.0)),
        np.repeat(levels((RING, 128), (DISC, 255))[..., None], 3, axis=2),
        rgba((255, 0, 0), levels((RING, 128), (DISC, 255))),
    ],
)
def test_three_exact_levels_are_not_guessed(mask: Any) -> None:
    with pytest.raises(MaskError, match="three levels"):
        read_labels(mask, ONE)


def test_the_ways_out_of_a_trimap_work() -> None:
    trimap = levels((RING, 128), (DISC, 255))
    assert np.array_equal(read_labels(trimap, Classes.parse("x=255")).labels, DISC)
    both = read_labels(trimap, Classes.parse("a=128,b=255")).labels
    assert np.array_equal(both, levels((RING, 1), (DISC, 2)))
    voc = read_labels(levels((RING, 255), (DISC, 1)), ONE)
    assert np.array_equal(voc.labels, DISC)
    assert np.array_equal(voc.void, RING)


@pytest.mark.parametrize("sigma", [0.7, 1.5, 2.0])
@pytest.mark.parametrize("top", [255, 65535, 1.0])
def test_narrow_edges_are_cut_in_the_middle(sigma: float, top: float) -> None:
    kind = {255: np.uint8, 65535: np.uint16, 1.0: np.float32}[top]
    soft = blurred(sigma) * top
    mask = (soft if top == 1.0 else soft.round()).astype(kind)
    assert np.array_equal(read_labels(mask, ONE).labels, blurred(sigma) >= 0.5)


@pytest.mark.parametrize("quality", [5, 20, 60, 90])
def test_jpeg_of_any_quality_is_a_mask(quality: int) -> None:
    image = stored(Image.fromarray(DISC.astype(np.uint8) * 255), "JPEG", quality=quality)
    assert (read_labels(image, ONE).labels != DISC).mean() < 0.01


def test_an_enlarged_mask_is_a_mask() -> None:
    small = Image.fromarray(DISC.astype(np.uint8) * 255).resize((30, 22))
    read = read_labels(small.resize((120, 90), Image.Resampling.BICUBIC), ONE).labels
    assert (read != DISC).mean() < 0.03


RAMP = np.broadcast_to(np.linspace(0, 255, 120).round().astype(np.uint8), (90, 120))


@pytest.mark.parametrize(
    "mask",
    [
        (blurred(3) * 255).round().astype(np.uint8),
        (blurred(6) * 255).round().astype(np.uint8),
        (blurred(6) * 65535).round().astype(np.uint16),
        RAMP,
        RAMP // 8,
        (blurred(6) * 128).round().astype(np.uint8),
    ],
)
def test_soft_masks_name_the_cause_and_the_way_out(mask: np.ndarray) -> None:
    with pytest.raises(MaskError, match=r"soft matte, a probability map.*mask >= 128.*RGBA"):
        read_labels(mask, ONE)


def test_soft_floats_are_cut_at_a_half_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    soft = blurred(6).astype(np.float32)
    assert np.array_equal(read_labels(soft, ONE).labels, soft >= 0.5)
    assert "cut at 0.5" in caplog.text
    caplog.clear()
    read_labels(blurred(1).astype(np.float32), ONE)
    assert not caplog.text


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (NOISE[..., 0], "looks like a photograph"),
        (NOISE, "looks like a photograph"),
        (levels((DISC, 85), (RING, 170), ((slice(0, 9)), 255)), "index mask of several classes"),
        (levels((DISC, 2), (RING, 3), ground=1), "index mask of several classes"),
        (DISC * 1000 + RING * 2000, r"--classes a=1000,b=2000"),
        (levels((DISC, 15), (RING, 255)), r"--classes a=15\)"),
        (levels((DISC, 255), ((0, 0), 1)), "255 covers more than ten times"),
        (DISC.astype(np.int32) - RING, "np.where"),
        (DISC.astype(np.int64) << 40, "expected class numbers"),
        (np.where(RING, np.nan, DISC), "NaN"),
        (DISC * 1.5, r"must lie in \[0, 1\]"),
        (DISC - 0.5, r"must lie in \[0, 1\]"),
    ],
)
def test_other_neighbours_are_refused_by_their_cause(mask: np.ndarray, says: str) -> None:
    with pytest.raises(MaskError, match=says):
        read_labels(mask, ONE)


@pytest.mark.parametrize(
    "mask",
    [
        rgba((255, 0, 0), DISC * 100),
        rgba((255, 0, 0), DISC * 255),
        rgba((255, 255, 255), DISC * 128),
        rgba(NOISE, 60 + DISC * 195),
        rgba(NOISE, DISC * 254),
        rgba(np.where(DISC[..., None], 255, np.zeros(3)), np.full(DISC.shape, 100)),
        rgba(np.where(DISC[..., None], 255, np.zeros(3)), 254 + RING),
    ],
)
def test_alpha_marks_the_more_opaque_part(mask: np.ndarray) -> None:
    assert np.array_equal(read_labels(mask, ONE).labels, DISC)
    assert np.array_equal(read_labels(Image.fromarray(mask, "RGBA"), ONE).labels, DISC)


def test_a_soft_alpha_is_cut_at_half_of_its_highest() -> None:
    for top in (100, 255):
        alpha = (blurred(6) * top).round()
        mask = read_labels(rgba(NOISE, alpha), ONE).labels
        assert np.array_equal(mask, alpha >= alpha.max() * 128 / 255)


def test_a_half_transparent_overlay_counts_by_the_colours_named() -> None:
    picture = np.where(DISC[..., None], (255, 0, 0), (0, 0, 255))
    read = read_labels(rgba(picture, (DISC | RING) * 100), Classes.parse("a=#ff0000,b=#0000ff"))
    assert np.array_equal(read.labels, levels((RING, 2), (DISC, 1)))


@pytest.mark.parametrize(
    ("colours", "classes", "wanted"),
    [
        ({0: (255, 255, 255), 1: (255, 0, 0)}, None, DISC),
        ({0: (0, 0, 0), 1: (128, 0, 0)}, None, DISC),
        ({0: (0, 0, 0), 1: (255, 255, 255)}, None, DISC),
        ({0: (255, 255, 255), 1: (0, 0, 0)}, {"x": 1}, DISC),
        ({0: (255, 255, 255), 1: (0, 0, 0)}, {"x": "#000000"}, DISC),
        ({0: (255, 255, 255), 1: (0, 0, 0)}, {"x": "#ffffff"}, ~DISC),
        ({0: (0, 0, 0), 1: (255, 255, 255)}, {"x": 255}, DISC),
        ({0: (255, 0, 0), 1: (255, 255, 255)}, {"x": 1}, DISC),
        ({0: (255, 0, 0), 1: (255, 255, 255)}, {"x": "#ff0000"}, ~DISC),
        ({0: (0, 0, 0), 1: (128, 0, 0)}, {"x": "#00ff00"}, DISC),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_a_palette_image_counts_as_the_classes_say(
    colours: dict[int, tuple[int, int, int]], classes: Any, wanted: np.ndarray, kind: str
) -> None:
    image = stored(palette_image(DISC.astype(np.uint8), colours), kind)
    if kind == "GIF" and image.mode != "P":
        pytest.skip("Pillow gives this one as gray")
    assert np.array_equal(read_labels(image, Classes.parse(classes)).labels, wanted)


@pytest.mark.parametrize(
    "colours", [{0: (255, 255, 255), 1: (0, 0, 0)}, {0: (255, 0, 0), 1: (255, 255, 255)}]
)
def test_a_palette_that_contradicts_its_indices_is_refused(
    colours: dict[int, tuple[int, int, int]],
) -> None:
    with pytest.raises(MaskError, match="by its values 1 is the object, by its colours"):
        read_labels(palette_image(DISC.astype(np.uint8), colours), ONE)


def test_index_values_of_a_transparent_palette_count_where_values_are_named() -> None:
    image = palette_image(levels((RING, 3), (DISC, 15)), {3: (0, 90, 0), 15: (192, 128, 128)})
    image = stored(image, "PNG", transparency=0)
    assert image.mode == "P"
    assert np.array_equal(read_labels(image, Classes.parse("person=15")).labels, DISC)
    with pytest.raises(MaskError, match="not plain"):
        read_labels(image, ONE)


def test_a_quantised_gray_mask_counts_by_its_gray_levels() -> None:
    image = Image.fromarray((blurred(1) * 255).round().astype(np.uint8)).convert("RGB")
    image = image.quantize(16)
    assert (read_labels(image, ONE).labels != DISC).mean() < 0.01


def test_named_values_in_every_lossless_file_come_back() -> None:
    classes = Classes.parse("road=7,building=11,person=255")
    mask = levels((RING, 7), (DISC, 11), (slice(0, 5), 255))
    wanted = levels((RING, 1), (DISC, 2), (slice(0, 5), 3))
    for kind, how in (
        ("PNG", {}),
        ("TIFF", {}),
        ("BMP", {}),
        ("GIF", {}),
        ("WEBP", {"lossless": True}),
    ):
        image = Image.fromarray(mask)
        read = read_labels(stored(image, kind, **how), classes)
        assert np.array_equal(read.labels, wanted), kind
        assert not read.void.any()


def test_a_palette_of_the_named_colours_at_the_class_values_comes_back() -> None:
    classes = Classes.parse("red=#c82828,blue=#283cd2,ink=#141414")
    table = {1: (200, 40, 40), 2: (40, 60, 210), 3: (20, 20, 20)}
    indices = levels((RING, 1), (DISC, 2))
    for kind in ("PNG", "TIFF", "BMP", "GIF"):
        read = read_labels(
            stored(palette_image(indices, table), kind), Classes.parse("red=#c82828,blue=#283cd2")
        )
        assert np.array_equal(read.labels, indices), kind
    assert classes.has_gray


def test_an_answer_numbered_by_the_old_rule_is_not_taken_for_named_values() -> None:
    from vicl.tasks.palette import palette

    old = palette_image(levels((RING, 1), (DISC, 2)), dict(enumerate(palette(2), start=1)))
    with pytest.raises(MaskError, match=r"values \[1, 2\].*marked by \[2, 5\].*numbered 1 to 2"):
        read_labels(old, Classes.parse("road=2,building=5"))
    with pytest.raises(MaskError, match=r"road=7, building=11.*values are 0 .*1 .*2 "):
        read_labels(levels((RING, 1), (DISC, 2)), Classes.parse("road=7,building=11"))


def test_a_common_colour_that_was_not_named_is_not_taken_for_a_near_one() -> None:
    """Bus and caravan of Cityscapes are 61 apart, less than JPEG may move a colour."""
    picture = np.zeros((*DISC.shape, 3), np.uint8)
    picture[DISC], picture[:, :20] = (0, 60, 100), (0, 0, 90)
    assert np.array_equal(read_labels(picture, Classes.parse("bus=#003c64")).labels, DISC)


def test_a_tiny_object_of_a_named_colour_is_not_lost_in_gray() -> None:
    picture = np.zeros((*DISC.shape, 3), np.uint8)
    picture[40:44, 40:46] = (255, 0, 0)
    read = read_labels(picture, Classes.parse("a=#ff0000,b=#0000ff"))
    assert int(read.labels.sum()) == 24


@pytest.mark.parametrize(
    "mask",
    [
        DISC[None],
        DISC[None, None],
        DISC[..., None],
        torch.from_numpy(DISC)[None],
        torch.from_numpy(DISC).to(torch.bfloat16),
        torch.from_numpy(DISC).float()[None] * 255,
        DISC.tolist(),
        DISC.astype(int).tolist(),
        DISC.astype(float).tolist(),
        list(torch.from_numpy(DISC)),
        DISC * 255.0,
        DISC.astype(np.float16),
        DISC * 0.3,
        DISC.astype(np.uint64),
        Image.fromarray(DISC.astype(np.int32)),
        Image.fromarray(DISC.astype(np.float32) * 255),
        Image.fromarray(DISC.astype(np.uint16) * 65535),
    ],
)
def test_arrays_as_people_have_them(mask: Any) -> None:
    assert np.array_equal(read_labels(mask, ONE).labels, DISC)


def test_planes_are_one_mask_a_class_in_their_order() -> None:
    two, three = Classes.parse(["a", "b"]), Classes.parse(["a", "b", "c"])
    planes = np.stack([DISC, RING])
    wanted = levels((DISC, 1), (RING, 2))
    for given in (planes, planes.astype(np.uint8) * 255, torch.from_numpy(planes), list(planes)):
        assert np.array_equal(read_labels(given, two).labels, wanted)
    more = np.stack([DISC, RING, np.zeros_like(DISC)])
    for given in (more, torch.from_numpy(more).float(), more.astype(np.uint8)):
        assert np.array_equal(read_labels(given, three).labels, wanted)


@pytest.mark.parametrize(
    ("mask", "classes", "says"),
    [
        (np.stack([DISC, RING]), None, r"mask\.any\(axis=0\)"),
        (np.stack([~DISC, DISC, RING, RING]), ["a", "b", "c"], r"leave out the background"),
        (np.stack([DISC, RING], axis=2), ["a", "b"], "move the classes first"),
        (np.stack([DISC, RING, RING]), ["a", "b"], "expected one plane for each"),
        (torch.rand(3, 9, 9) * 255, None, r"expected \[0, 1\]"),
        (np.random.default_rng(0).random((9, 9, 3)), None, "from floats"),
        ([[0, 1], [1]], None, "rows of numbers of one length"),
        ([], None, "rows of numbers"),
        (["a.png"], None, "rows of numbers"),
        (None, None, "got NoneType"),
        (io.BytesIO(b"x"), None, "got BytesIO"),
        (b"x", None, "got bytes"),
        (DISC.astype(complex), None, "complex128"),
        ({"a": levels((RING, 128), (DISC, 255))}, ["a"], "class 'a': mask: has three levels"),
    ],
)
def test_other_arrays_are_refused_by_name(mask: Any, classes: Any, says: str) -> None:
    with pytest.raises(MaskError, match=says):
        read_labels(mask, Classes.parse(classes))


def test_an_inverted_mask_of_truth_values_can_be_turned_by_naming_black() -> None:
    black = Classes.parse("x=#000000")
    for mask in (~DISC, (~DISC).astype(np.uint8), (~DISC).astype(np.uint16) * 65535):
        assert np.array_equal(read_labels(mask, black).labels, DISC)


@pytest.mark.parametrize("sigma", [0.4, 1.0])
def test_narrow_edges_in_16_bits_are_cut_in_the_middle(sigma: float) -> None:
    """However few their levels are; instance numbers up to 65535 are none."""
    deep = np.rint(blurred(sigma) * 65535).astype(np.uint16)
    few = np.where((deep > 0) & (deep < 65535), deep // 4096 * 4096 + 1000, deep)
    assert 3 < len(np.unique(few)) < 20
    for mask in (deep, few):
        assert np.array_equal(read_labels(mask, ONE).labels > 0, mask >= 32896)
    numbers = np.zeros(DISC.shape, np.uint16)
    for number in range(5):
        numbers[10 + 12 * number : 18 + 12 * number, 30:60] = 13107 * (number + 1)
    with pytest.raises(MaskError, match="instance numbers"):
        read_labels(numbers, ONE)


@pytest.mark.parametrize("values", [(128, 255), (50, 200), (1, 255)])
def test_two_values_without_background_name_both_ways(values: tuple[int, int]) -> None:
    low, high = values
    mask = levels((DISC, high), ground=low)
    with pytest.raises(MaskError, match="neither is 0") as refused:
        read_labels(mask, ONE)
    for value, marked in ((high, DISC), (low, ~DISC)):
        assert f"--classes name={value}" in str(refused.value)
        assert np.array_equal(read_labels(mask, Classes.parse(f"name={value}")).labels > 0, marked)


def test_the_way_to_mark_all_instances_leaves_the_background_out() -> None:
    mask = levels((DISC, 5), (RING, 9), ground=2)
    with pytest.raises(MaskError, match=r"give mask > 2 \(black"):
        read_labels(mask, ONE)


def test_a_photograph_is_no_mask_of_a_colour_that_it_has_by_chance() -> None:
    """One that was drawn on in that colour is."""
    red = Classes.parse("leaf=#ff0000")
    with pytest.raises(MaskError, match=r"looks like a photograph, .* nothing drawn in them"):
        read_labels(NOISE, red)
    drawn = np.where(DISC[..., None], np.uint8([255, 0, 0]), NOISE)
    assert read_labels(drawn, red).labels[DISC].all()
