"""How near one picture is to another: errors, structure, and colour.

Arrays in, floats out; no torch.  An image is (3, h, w) in [0, 1].
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

PSNR_CEILING = 100.0
"""What PSNR is taken for where images are the same, in dB, so that it has a mean."""

_WINDOW = 11
"""Side of the window in which SSIM compares, in pixels: 3.5 deviations of 1.5 px either way."""
_COLOURLESS = 0.1
"""Mean chroma in CIELAB units under which a picture counts as gray; one step of 8 bits is more."""


def same_shape(pred: np.ndarray, truth: np.ndarray, what: str) -> None:
    """Refuse to compare arrays of different shapes.

    Raises:
        ValueError: If they differ; `what` says what was to be computed.
    """
    if pred.shape != truth.shape:
        raise ValueError(
            f"{what}: got shapes {pred.shape} and {truth.shape}, expected the same; "
            "bring the prediction to the truth's size first"
        )


def mse(pred: Float[np.ndarray, "*a"], truth: Float[np.ndarray, "*b"]) -> float:
    """Compute the mean squared error over all pixels and channels.

    Args:
        pred: Values in [0, 1].
        truth: The same.

    Raises:
        ValueError: If shapes differ.
    """
    same_shape(pred, truth, "mse")
    return float(np.mean((pred.astype(np.float64) - truth) ** 2))


def psnr(pred: Float[np.ndarray, "*a"], truth: Float[np.ndarray, "*b"]) -> float:
    """Compute the peak signal-to-noise ratio in decibels, for images in [0, 1].

    Returns:
        10 log10(1 / MSE); infinity for identical images.

    Raises:
        ValueError: If shapes differ.
    """
    error = mse(pred, truth)
    return float(-10 * np.log10(error)) if error > 0 else float("inf")


def ssim(pred: Float[np.ndarray, "3 h w"], truth: Float[np.ndarray, "3 th tw"]) -> float:
    """Compute the structural similarity of two images, averaged over places and channels.

    Args:
        pred: RGB in [0, 1].
        truth: The same.

    Returns:
        In [-1, 1]; 1 for identical images.

    Raises:
        ValueError: If shapes differ, or a side is under 11 pixels.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", TIP 2004, section III (a Gaussian window of 1.5 px), by scikit-image.
    """
    from skimage.metrics import structural_similarity

    same_shape(pred, truth, "ssim")
    if min(pred.shape[1:]) < _WINDOW:
        raise ValueError(
            f"ssim: got {pred.shape[1:]} (height, width), expected at least {_WINDOW} pixels a "
            "side, the window in which it compares"
        )
    found = structural_similarity(  # type: ignore[no-untyped-call]
        pred.astype(np.float64),
        truth.astype(np.float64),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(found)


def chroma_error(pred: Float[np.ndarray, "3 h w"], truth: Float[np.ndarray, "3 th tw"]) -> float:
    """Compute the mean distance between the colours of two images, lightness left out.

    For colorization: a gray answer can win by MSE, but not here.

    Args:
        pred: sRGB in [0, 1].
        truth: The same.

    Returns:
        Mean over pixels of the Euclidean distance of (a*, b*), CIELAB units (D65, 2 degrees).

    Raises:
        ValueError: If shapes differ.
    """
    same_shape(pred, truth, "chroma_error")
    return float(np.hypot(*(_chroma(pred) - _chroma(truth))).mean())


def chroma_recovered(
    pred: Float[np.ndarray, "3 h w"], truth: Float[np.ndarray, "3 th tw"]
) -> float:
    """Compute the share of an image's colour that another one shows.

    At each pixel the answer's (a*, b*) counts as far as it points the way of the true one, up to
    the true one's length: neither a wrong hue nor too much colour earns anything.  The sum over
    pixels is divided by the sum of the true lengths.

    Args:
        pred: sRGB in [0, 1].
        truth: The same.

    Returns:
        In [-1, 1]: 1 for the right colours, 0 for gray and, on average, for random hues, under 0
        for opposite ones.  Where the truth has no colour, 1 for an answer without, else 0.

    Raises:
        ValueError: If shapes differ.

    Source: our own.
    """
    same_shape(pred, truth, "chroma_recovered")
    found, wanted = _chroma(pred), _chroma(truth)
    length = np.hypot(*wanted)
    if length.mean() < _COLOURLESS:
        return float(np.hypot(*found).mean() < _COLOURLESS)
    dot = (found * wanted).sum(axis=0)
    along = np.divide(dot, length, out=np.zeros_like(length), where=length > 0)
    return float(np.clip(along, -length, length).sum() / length.sum())


def _chroma(image: Float[np.ndarray, "3 h w"]) -> Float[np.ndarray, "2 h w"]:
    """(a*, b*) in CIELAB."""
    from skimage.color import rgb2lab

    lab = rgb2lab(np.moveaxis(image.astype(np.float64), 0, -1))
    return np.moveaxis(lab[..., 1:], -1, 0)
