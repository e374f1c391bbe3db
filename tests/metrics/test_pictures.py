from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.color import lab2rgb

from vicl.metrics.pictures import chroma_error, chroma_recovered, mse, psnr, ssim


def _plain(red: float, green: float, blue: float) -> np.ndarray:
    return np.tile(np.array([red, green, blue])[:, None, None], (1, 12, 12))


def _lab(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """CIELAB of one sRGB colour, from the definitions (IEC 61966-2-1, CIE 15)."""
    r, g, b = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    )
    xyz = (
        (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047,
        0.2126729 * r + 0.7151522 * g + 0.0721750 * b,
        (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883,
    )
    x, y, z = (c ** (1 / 3) if c > (6 / 29) ** 3 else c * 841 / 108 + 4 / 29 for c in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def test_mse_and_psnr_by_hand() -> None:
    a, b = np.zeros((3, 2, 2)), np.full((3, 2, 2), 0.1)
    assert mse(a, b) == pytest.approx(0.01)
    assert psnr(a, b) == pytest.approx(20)
    assert math.isinf(psnr(a, a))
    with pytest.raises(ValueError, match="mse"):
        mse(a, b[:1])


def test_chroma_error_sees_colour_and_not_lightness() -> None:
    gray = np.full((3, 2, 2), 0.3)
    light = np.full((3, 2, 2), 0.8)
    assert chroma_error(gray, light) == pytest.approx(0, abs=0.02)
    red = np.zeros((3, 2, 2))
    red[0] = 1
    # sRGB red is CIELAB (53.24, 80.09, 67.20): its chroma is 104.55.
    assert chroma_error(gray, red) == pytest.approx(math.hypot(80.09, 67.20), abs=0.05)
    half = red.copy()
    half[:, 0] = 0.3
    assert chroma_error(half, red) == pytest.approx(math.hypot(80.09, 67.20) / 2, abs=0.05)
    with pytest.raises(ValueError, match="chroma_error"):
        chroma_error(gray, red[:, :1])


def test_chroma_recovered_by_hand() -> None:
    """Two halves, one orange, one blue; what each answer shows of them, from CIELAB by hand."""
    orange, blue, dull = (0.9, 0.5, 0.1), (0.1, 0.3, 0.9), (0.6, 0.5, 0.4)
    truth = np.concatenate([_plain(*orange), _plain(*blue)], axis=2)
    assert chroma_recovered(truth, truth) == pytest.approx(1)
    gray = np.full_like(truth, 0.4)
    assert chroma_recovered(gray, truth) == pytest.approx(0, abs=1e-3)
    assert chroma_error(gray, truth) > 50

    (_, a, b), (_, c, d), (_, e, f) = (_lab(*colour) for colour in (orange, blue, dull))
    one, other = math.hypot(a, b), math.hypot(c, d)
    answer = np.concatenate([_plain(*dull), _plain(0.4, 0.4, 0.4)], axis=2)
    expected = ((a * e + b * f) / one) / (one + other)  # the dull orange's part along the orange
    assert 0.05 < expected < 0.5
    assert chroma_recovered(answer, truth) == pytest.approx(expected, abs=1e-3)
    # Too much colour earns no more than enough of it.
    strong = np.concatenate([_plain(*orange), _plain(*blue)], axis=2)
    weak = np.concatenate([_plain(*dull), _plain(*dull)], axis=2)
    assert chroma_recovered(strong[..., :12], weak[..., :12]) == pytest.approx(
        min(1, (a * e + b * f) / (e * e + f * f))
    )
    # The colours exchanged point the other way.
    swapped = np.concatenate([_plain(*blue), _plain(*orange)], axis=2)
    expected = sum(max(-n, (a * c + b * d) / n) for n in (one, other)) / (one + other)
    assert expected < -0.5
    assert chroma_recovered(swapped, truth) == pytest.approx(expected, abs=1e-3)


def test_random_hues_recover_nothing() -> None:
    rng = np.random.default_rng(0)
    images = []
    for _ in range(2):
        hue = rng.uniform(0, 2 * np.pi, (200, 200))
        lab = np.stack([np.full_like(hue, 60.0), 20 * np.cos(hue), 20 * np.sin(hue)], axis=-1)
        images.append(np.moveaxis(lab2rgb(lab), -1, 0))
    assert chroma_recovered(images[0], images[1]) == pytest.approx(0, abs=0.02)


def test_a_gray_truth_wants_a_gray_answer() -> None:
    gray, red = _plain(0.5, 0.5, 0.5), _plain(1.0, 0.0, 0.0)
    assert chroma_recovered(_plain(0.2, 0.2, 0.2), gray) == 1
    assert chroma_recovered(red, gray) == 0
    with pytest.raises(ValueError, match="chroma_recovered"):
        chroma_recovered(gray, gray[:, :1])


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    """The index of one channel, window by window, from the paper's equations 13 to 17."""
    offsets = np.arange(-5, 6)
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    found = []
    for y in range(5, a.shape[0] - 5):
        for x in range(5, a.shape[1] - 5):
            p, q = (image[y - 5 : y + 6, x - 5 : x + 6] for image in (a, b))
            mean_p, mean_q = (weights * p).sum(), (weights * q).sum()
            var_p = (weights * (p - mean_p) ** 2).sum()
            var_q = (weights * (q - mean_q) ** 2).sum()
            both = (weights * (p - mean_p) * (q - mean_q)).sum()
            top = (2 * mean_p * mean_q + 0.01**2) * (2 * both + 0.03**2)
            found.append(top / ((mean_p**2 + mean_q**2 + 0.01**2) * (var_p + var_q + 0.03**2)))
    return float(np.mean(found))


def test_ssim_is_the_papers() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((3, 18, 20))
    noisy = np.clip(truth + rng.normal(0, 0.2, truth.shape), 0, 1)
    expected = np.mean([_ssim(a, b) for a, b in zip(noisy, truth, strict=True)])
    assert 0.3 < expected < 0.95
    assert ssim(noisy, truth) == pytest.approx(expected, abs=1e-6)
    assert ssim(truth, truth) == pytest.approx(1)
    with pytest.raises(
        ValueError, match=r"ssim: got \(10, 20\) \(height, width\), expected at least"
    ):
        ssim(truth[:, :10], truth[:, :10])
    with pytest.raises(ValueError, match="ssim: got shapes"):
        ssim(truth, truth[:, :12])
