"""What is around a pixel, at the image's own resolution: for recolouring, filtering, edges."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float

from vicl.encoders.handmade import blur, gradient, to_lab
from vicl.models.analogies.shapes import RGB

_PATCH: Final = 7


def colour_terms(image: RGB) -> Float[np.ndarray, "h w 20"]:
    """All products of up to three channels: 1, r, g, b, rr, rg, ..., bbb."""
    red, green, blue = (image[..., channel] for channel in range(3))
    with_one = [np.ones_like(red), red, green, blue]
    terms = [
        with_one[a] * with_one[b] * with_one[c]
        for a in range(4)
        for b in range(a, 4)
        for c in range(b, 4)
    ]
    return np.stack(terms, axis=-1).astype(np.float32)


def itself(image: RGB) -> RGB:
    """RGB as it is."""
    return image


def colours(image: RGB) -> Float[np.ndarray, "h w 7"]:
    """The pixel itself: RGB, brightest, darkest, their difference, mean."""
    high, low = image.max(axis=-1), image.min(axis=-1)
    more = np.stack([high, low, high - low, image.mean(axis=-1)], axis=-1)
    return np.concatenate([image, more], axis=-1, dtype=np.float32)


def filters(image: RGB) -> Float[np.ndarray, "h w f"]:
    """A bank of filters for each channel: its 7x7 patch, blurs, medians, total variation.

    A ridge regression on them is a learned linear filter (sharpening, blurring, Wiener's), and,
    by the medians and the total variation, a choice among denoisers.
    """
    from scipy import ndimage
    from skimage.restoration import denoise_tv_chambolle

    size = _PATCH // 2
    padded = np.pad(
        image,
        ((size, size), (size, size), (0, 0)),
        mode="reflect" if min(image.shape[:2]) > size else "edge",
    )
    height, width = image.shape[:2]
    patch = [
        padded[row : row + height, column : column + width]
        for row in range(_PATCH)
        for column in range(_PATCH)
    ]
    blurs = [blur(image, sigma) for sigma in (1.0, 2.0, 4.0, 8.0)]
    medians = [ndimage.median_filter(image, size=(side, side, 1)) for side in (3, 5)]
    variations = [
        denoise_tv_chambolle(  # type: ignore[no-untyped-call]
            image, weight=weight, channel_axis=-1, max_num_iter=20
        )
        for weight in (0.05, 0.15)
    ]
    return np.concatenate([*patch, *blurs, *medians, *variations], axis=-1, dtype=np.float32)


def surroundings(image: RGB) -> Float[np.ndarray, "h w f"]:
    """Colours and gradients at several scales: for what is no linear filter, such as edges."""
    lab = to_lab(image)
    found = [lab, *(blur(lab, sigma) for sigma in (1.5, 4.0, 10.0))]
    for sigma in (0.8, 1.5, 3.0, 6.0):
        strengths = []
        for channel in range(3):
            down, across = gradient(lab[..., channel], sigma)
            rows, columns, mixed = (
                blur(v, sigma) for v in (down * down, across * across, down * across)
            )
            half = np.sqrt((rows - columns) ** 2 / 4 + mixed**2)
            strengths += [
                np.hypot(down, across),
                np.sqrt(np.maximum((rows + columns) / 2 + half, 0)),
            ]
            if channel == 0:
                strengths.append(np.abs((rows + columns) / 2 - half) / (rows + columns + 1e-6))
        found.append(np.stack(strengths, axis=-1) * np.float32(sigma))
    light = lab[..., 0]
    for sigma in (2.0, 5.0):
        spread = np.maximum(blur(light * light, sigma) - blur(light, sigma) ** 2, 0)
        found.append(np.sqrt(spread)[..., None])
    for inner, outer in ((1.0, 4.0), (3.0, 10.0)):
        found.append(np.abs(blur(lab, inner) - blur(lab, outer)))
    # A strong gradient says less where everything around it is strong, too.
    edges = found[5][..., :1]
    found += [blur(edges, 5.0), blur(edges, 15.0)]
    return np.concatenate(found, axis=-1, dtype=np.float32)
