"""GLIGEN: a picture in which what is named, or looks like another, stands in boxes; or people.

Stable Diffusion with layers that also look at tokens of what stands where. The layers are the
library's; its pipelines are deprecated, paint squares alone where an image is given, and take part
of their noise from the program's common source, so the steps are gone here, with their results
(a test compares).

Keypoints are not in the library: their position network is :class:`Keypoints`.

Source: Li et al., "GLIGEN: Open-Set Grounded Text-to-Image Generation", CVPR 2023.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vicl.adapters.diffusers_folder import (
    DIFFUSION,
    ONE_READER,
    hash_pipeline,
    library,
    read_part,
    read_readers,
    read_scheduler,
    read_side,
)
from vicl.adapters.transformers_folder import CLIP, Architecture, build, check_files, read_json
from vicl.files import display
from vicl.generators.generator import PictureGenerator
from vicl.generators.scene import KEYPOINTS, MOST_BOXES, MOST_PERSONS, Drawn
from vicl.images import resize
from vicl.storage.folder import CONFIG, ModelError
from vicl.storage.sharded import open_weights

_ENCODER: Final = Architecture("CLIPVisionConfig", "CLIPVisionModelWithProjection")

_LENGTH: Final = 28.7
"""Of a reference's features, which is about that of a phrase's."""

_GROUNDED: Final = {"text": 0.3, "keypoints": 0.3, "text and image": 1.0}
"""Share of the steps, the first, in which what stands where is looked at."""

_FREQUENCIES: Final = 8
_TEMPERATURE: Final = 100.0
_CHANNELS: Final = {4: False, 9: True}
"""What a UNet sees at a place, and whether an image with a hole is part of it."""


class Keypoints(nn.Module):
    """GLIGEN's position network for people's keypoints: a token for each keypoint of each person.

    A token is made of who and which it is (a learned vector a person and one a keypoint, added)
    and of where it is (sines and cosines of x and y); one that is not seen has learned vectors
    of its own for both.

    Args:
        width: Of the vectors, and of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.person_embeddings = nn.Parameter(torch.zeros(MOST_PERSONS, width))
        self.keypoint_embeddings = nn.Parameter(torch.zeros(KEYPOINTS, width))
        self.null_person_feature = nn.Parameter(torch.zeros(width))
        self.null_xy_feature = nn.Parameter(torch.zeros(4 * _FREQUENCIES))
        hidden = 512
        self.linears = nn.Sequential(
            nn.Linear(width + 4 * _FREQUENCIES, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, width),
        )

    def forward(
        self, points: Float[Tensor, "b p 17 2"], seen: Float[Tensor, "b p 17"]
    ) -> Float[Tensor, "b t d"]:
        """Tokens of all people, the keypoints of the first first.

        Args:
            points: x and y as shares of the picture; of what is not seen any finite numbers.
            seen: 1 = seen, 0 = not.
        """
        who = self.person_embeddings[:, None] + self.keypoint_embeddings
        is_seen = seen[..., None]
        features = torch.where(is_seen > 0, who, self.null_person_feature)
        places = torch.where(is_seen > 0, waves(points), self.null_xy_feature)
        tokens: Tensor = self.linears(torch.cat([features, places], -1))
        return tokens.flatten(1, 2)


def waves(points: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 32"]:
    """Sines, then cosines, of x and y, for each of eight frequencies from 1 to 100."""
    steps = torch.arange(_FREQUENCIES, device=points.device) / _FREQUENCIES
    turned = (_TEMPERATURE**steps)[:, None] * points[..., None, :]
    return torch.stack([turned.sin(), turned.cos()], -2).flatten(-3)


class Gligen(PictureGenerator):
    """GLIGEN of the diffusers library, in float32, by DDIM.

    Which ways it takes its UNet says: boxes, with references too, or people's keypoints; with an
    image or without.

    Args:
        folder: As its publishers give it, with safetensors.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If diffusers or transformers is not installed, or the folder is broken or of
            another kind.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        library()
        self._device = torch.device(device)
        if not is_grounded(path):
            raise ModelError(
                f"{display(path / 'unet' / CONFIG)}: attention_type: expected gated or "
                "gated-text-image, as GLIGEN's UNets have it"
            )
        parts = read_readers(path, ONE_READER, device=device)
        self._reader, self._words = parts["text_encoder"], parts["tokenizer"]
        self._unet = read_part(
            "UNet2DConditionModel", path / "unet", device=device, changed=_with_keypoints
        )
        self._vae = read_part("AutoencoderKL", path / "vae", device=device)
        self._scheduler = read_scheduler(path, "DDIMScheduler")
        channels = self._unet.config.in_channels
        if channels not in _CHANNELS:
            raise ModelError(
                f"{display(path / 'unet' / CONFIG)}: in_channels: got {channels}, expected 4 or 9"
            )
        self._grounding, accepts = "text", {"boxes"}
        if self._unet.config.attention_type == "gated-text-image":
            self._grounding, accepts = "text and image", {"boxes", "references"}
            self._read_eye(path)
        elif isinstance(self._unet.position_net, Keypoints):
            self._grounding, accepts = "keypoints", {"keypoints"}
        self.needs = (frozenset(accepts),)
        if _CHANNELS[channels]:
            accepts |= {"image"}
            self.needs = (*self.needs, frozenset({"image"}))
        super().__init__(
            path.resolve().name if name is None else name,
            hash_pipeline(path),
            accepts=frozenset(accepts),
            side=read_side(self._unet, path / "unet", self.step),
        )

    def _read_eye(self, folder: Path) -> None:
        """What looks at references: CLIP's encoder, and a matrix into the space of phrases."""
        path = folder / "image_encoder"
        check_files(path, "an image encoder")
        self._eye = build(_ENCODER, read_json(path / CONFIG), path, device=self._device)
        with open_weights(folder / "image_project", DIFFUSION) as weights:
            wanted = {key: ref for key, ref in weights.refs.items() if key == "project.weight"}
            matrix = weights.load(wanted).get("project.weight")
        width = self._eye.config.projection_dim
        if matrix is None or tuple(matrix.shape) != (width, width):
            raise ModelError(
                f"{display(folder / 'image_project')}: expected project.weight of {width}x{width}; "
                "get a whole copy"
            )
        self._into_words = matrix.to(self._device)

    def _paint(
        self, scene: Drawn, generator: Generator, steps: int, guidance: float
    ) -> Float[Tensor, "3 h w"]:
        words = self._read(["", scene.text], whole=True)
        tokens = self._tokens(scene)
        height, width = (side // self.step for side in scene.size)
        latents = self._noise((1, 4, height, width), generator)
        known, kept = self._known(scene, (height, width))
        more = torch.cat([known * kept, kept], 1) if scene.image is not None else known[:, :0]
        self._scheduler.set_timesteps(steps, device=self._device)
        looked = max(1, int(_GROUNDED[self._grounding] * steps))
        for index, time in enumerate(self._scheduler.timesteps):
            if scene.image is not None:
                noise = self._noise(known.shape, generator)
                there = self._scheduler.add_noise(known, noise, time[None])
                latents = there * kept + latents * (1 - kept)
            seen = self._scheduler.scale_model_input(latents, time)
            asked = torch.cat([seen, more], 1).expand(2, -1, -1, -1)
            self._look(index < looked)
            guess = self._unet(
                asked,
                time,
                encoder_hidden_states=words,
                cross_attention_kwargs={"gligen": tokens},
            ).sample
            plain, told = guess.chunk(2)
            noise_in = plain + guidance * (told - plain)
            latents = self._scheduler.step(noise_in, time, latents).prev_sample
        painted = self._vae.decode(latents / self._vae.config.scaling_factor).sample[0]
        found: Tensor = painted / 2 + 0.5
        return found

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return torch.randn(shape, generator=generator).to(self._device)

    def _look(self, enabled: bool) -> None:
        """Look at what stands where, or not."""
        from diffusers.models.attention import GatedSelfAttentionDense

        for module in self._unet.modules():
            if isinstance(module, GatedSelfAttentionDense):
                module.enabled = enabled

    def _known(self, scene: Drawn, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The image's latents, and 1 where they are kept; nothing is, without an image."""
        if scene.image is None or scene.hole is None:
            nothing = torch.zeros(1, 4, *size, device=self._device)
            return nothing, nothing[:, :1]
        shown = (scene.image[None] * 2 - 1).to(self._device)
        known = self._vae.encode(shown).latent_dist.mode() * self._vae.config.scaling_factor
        touched = nn.functional.max_pool2d(scene.hole[None, None].float(), self.step)
        return known, (1 - touched).to(self._device)

    def _read(self, texts: list[str], *, whole: bool) -> Tensor:
        """What the reader makes of texts: of each word, or of each text."""
        given = self._words(
            texts,
            padding="max_length" if whole else True,
            max_length=self._words.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).to(self._device)
        if whole:
            found: Tensor = self._reader(given["input_ids"])[0]
            return found
        pooled: Tensor = self._reader(**given).pooler_output
        return pooled

    def _tokens(self, scene: Drawn) -> dict[str, Tensor]:
        """What the position network is given: first as if nothing stood anywhere, then all."""
        if self._grounding == "keypoints":
            there = len(scene.keypoints)
            points = torch.zeros(2, MOST_PERSONS, KEYPOINTS, 2)
            seen = torch.zeros(2, MOST_PERSONS, KEYPOINTS)
            seen[1, :there] = (~scene.keypoints.isnan().any(-1)).float()
            points[1, :there] = scene.keypoints.nan_to_num()
            return {"points": points.to(self._device), "seen": seen.to(self._device)}
        count = len(scene.boxes)
        width = self._reader.config.hidden_size
        boxes, masks = torch.zeros(2, MOST_BOXES, 4), torch.zeros(2, MOST_BOXES)
        boxes[1, :count], masks[1, :count] = scene.boxes, 1
        phrases = torch.zeros(2, MOST_BOXES, width)
        named = [at for at, phrase in enumerate(scene.phrases) if phrase is not None]
        if named:
            texts = [str(scene.phrases[at]) for at in named]
            phrases[1, named] = self._read(texts, whole=False).cpu()
        if self._grounding == "text":
            found = {"boxes": boxes, "masks": masks, "positive_embeddings": phrases}
            return {key: value.to(self._device) for key, value in found.items()}
        pictures = torch.zeros(2, MOST_BOXES, width)
        by_phrase, by_picture = torch.zeros(2, MOST_BOXES), torch.zeros(2, MOST_BOXES)
        by_phrase[1, named] = 1
        for at, reference in enumerate(scene.references):
            if reference is not None:
                pictures[1, at], by_picture[1, at] = self._look_at(reference), 1
        found = {
            "boxes": boxes,
            "masks": masks,
            "phrases_masks": by_phrase,
            "image_masks": by_picture,
            "phrases_embeddings": phrases,
            "image_embeddings": pictures,
        }
        return {key: value.to(self._device) for key, value in found.items()}

    def _look_at(self, reference: Tensor) -> Tensor:
        """A reference's features: its square middle, as CLIP sees it, in the space of phrases."""
        height, width = reference.shape[1:]
        side, to = min(height, width), int(self._eye.config.image_size)
        top, left = (height - side) // 2, (width - side) // 2
        square = resize(reference[:, top : top + side, left : left + side], (to, to))
        mean, deviation = (torch.tensor(values)[:, None, None] for values in CLIP)
        shown = ((square - mean) / deviation)[None].to(self._device)
        features: Tensor = self._into_words @ self._eye(shown).image_embeds[0]
        return _LENGTH * torch.nn.functional.normalize(features, dim=0).cpu()


def is_grounded(folder: Path) -> bool:
    """Whether a pipeline's UNet is one of GLIGEN's, which the pipeline's name may not say."""
    path = folder / "unet" / CONFIG
    said = read_json(path).get("attention_type") if path.is_file() else None
    return said in ("gated", "gated-text-image")


def _with_keypoints(unet: Any, names: frozenset[str]) -> None:
    """Give a UNet the position network for keypoints, where its weights are for that."""
    if "position_net.keypoint_embeddings" in names:
        unet.position_net = Keypoints(int(unet.config.cross_attention_dim))
