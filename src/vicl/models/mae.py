"""MAE: a masked autoencoder that fills a hole with pixels.

Pixels are ImageNet-normalised, as the encoder sees them and as published.  With
`normalise_patches` those of each patch are predicted as (x - mean) / deviation, with the patch's
own mean and deviation over all pixels and channels.  As published, such a model cannot draw a hole,
whose means and deviations nobody knows; so ours departs from it: two further outputs predict the
mean and the natural logarithm of the deviation, and their mean squared error is added to the loss.

Source: He, Chen, Xie, Li, Dollár and Girshick 2021, arXiv:2111.06377, section 3.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.configs import MaskedAutoencoderConfig
from vicl.models.inpainter import PixelInpainter
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.models.shapes import Hole, Holes, Images
from vicl.models.vit import imagenet_denormalise, imagenet_normalise, patchify, unpatchify

VARIANCE_EPS = 1e-6
"""Added to a patch's variance, so that a patch of one colour has a deviation too."""
MOST_LOG_DEVIATION = 2.0
"""No patch of pixels in [0, 1] has more; it keeps predictions finite."""


class MAEConfig(MaskedAutoencoderConfig):
    """A masked autoencoder over pixels.

    Attributes:
        normalise_patches: Predict each patch's pixels normalised by the patch's own mean and
            deviation, as published, and these two beside them, so that the hole can be drawn;
            else the pixels themselves.
    """

    normalise_patches: bool = True


class MAE(MaskedAutoencoder, PixelInpainter):
    """A masked autoencoder over pixels; see the two classes that it is made of.

    Attributes:
        config: The architecture.
    """

    kind = "mae"
    config_class = MAEConfig
    config: MAEConfig

    @property
    def _pixels(self) -> int:
        """Numbers in a patch."""
        return 3 * self.patch_size**2

    @property
    def _outputs(self) -> int:
        return self._pixels + (2 if self.config.normalise_patches else 0)

    def loss(self, image: Images, hole: Hole, *, target: Images | None = None) -> Float[Tensor, ""]:
        """Mean squared error in the holes; see :meth:`LearnedInpainter.loss`.

        With `normalise_patches` that of the normalised pixels, plus that of mean and logarithm of
        the deviation.
        """
        holes = self._holes(image, hole)
        places = self._places(holes)
        found = self.head(self._hidden(image, holes).flatten(0, 1)[places]).float()
        with torch.no_grad():
            clean = patchify(image if target is None else target, self.patch_size)
            wanted = self._describe(clean.flatten(0, 1)[places])
        loss = F.mse_loss(found[:, : self._pixels], wanted[:, : self._pixels])
        if self.config.normalise_patches:
            loss = loss + F.mse_loss(found[:, self._pixels :], wanted[:, self._pixels :])
        return loss

    def _describe(self, patches: Float[Tensor, "m p"]) -> Float[Tensor, "m k"]:
        """What the head is to say of patches in [0, 1]."""
        pixels = imagenet_normalise(patches)
        if not self.config.normalise_patches:
            return pixels
        mean = pixels.mean(dim=1, keepdim=True)
        deviation = (pixels.var(dim=1, keepdim=True) + VARIANCE_EPS).sqrt()
        return torch.cat([(pixels - mean) / deviation, mean, deviation.log()], dim=1)

    def _draw(self, image: Images, holes: Holes) -> Images:
        found = self.head(self._hidden(image, holes)).float()
        pixels = found[..., : self._pixels]
        if self.config.normalise_patches:
            mean, log_deviation = found[..., self._pixels :].unbind(-1)
            deviation = log_deviation.clamp(max=MOST_LOG_DEVIATION).exp()
            pixels = pixels * deviation[..., None] + mean[..., None]
        patches = imagenet_denormalise(pixels).clamp(0, 1)
        return unpatchify(patches, self.config.grid, self.patch_size)
