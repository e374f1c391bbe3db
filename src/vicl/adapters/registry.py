"""Other people's models, a row a family; importing this imports neither PyTorch nor a library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from vicl.generators.registry import GENERATORS
from vicl.segmenters.registry import SEGMENTERS

if TYPE_CHECKING:
    import torch

Role = Literal["segmenter", "detector", "engine", "inpainter", "encoder", "generator", "vlm"]


ORIGINS: Final = "vicl.origins"
"""The logger that is told the licence and the hash of what is loaded; commands show it."""


@dataclass(frozen=True)
class Adapter:
    """A family of models that is loaded from a folder or the Hugging Face hub.

    Attributes:
        name: What people call it.
        role: What it becomes: :func:`vicl.load_segmenter` loads segmenters and detectors,
            :func:`vicl.load_model` engines and inpainters, :func:`vicl.load_encoder` encoders,
            :func:`vicl.load_generator` generators, :func:`vicl.load_vlm` vision-language models
            (vlm).
        use: What it is for, in a line.
        example: A model of the family on the hub.
        kinds: The model_type, or the pipeline, that its folders' configurations say.
        make: Opens a folder, under a name, on a device.
        extra: Of vicl's, that it needs.
    """

    name: str
    role: Role
    use: str
    example: str
    kinds: frozenset[str]
    make: Callable[[Path, str | None, torch.device], Any]
    extra: str = "transformers"

    @property
    def loader(self) -> str:
        """The function that loads models of the family."""
        loaders = {"detector": "segmenter", "engine": "model", "inpainter": "model"}
        return f"vicl.load_{loaders.get(self.role, self.role)}"

    @property
    def call(self) -> str:
        """How a model of the family is loaded, with a network."""
        return f'{self.loader}("hub:{self.example}")'


def _sam(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.sam import Sam

    return Sam(folder, name=name, device=device)


def _sam3(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.sam3 import Sam3

    return Sam3(folder, name=name, device=device)


def _clipseg(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.clipseg import CLIPSeg

    return CLIPSeg(folder, name=name, device=device)


def _grounding_dino(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.grounding_dino import GroundingDino

    return GroundingDino(folder, name=name, device=device)


def _seggpt(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.seggpt import SegGPT

    return SegGPT(folder, name=name, device=device)


def _owlv2(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.owlv2 import OWLv2

    return OWLv2(folder, name=name, device=device)


def _encoder(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.transformers_encoder import TransformersEncoder

    return TransformersEncoder(folder, name=name, device=device)


def _sam3_composite(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.sam3_composite import Sam3Composite

    return Sam3Composite(folder, name=name, device=device)


def _stable_diffusion(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.stable_diffusion import StableDiffusion

    return StableDiffusion(folder, name=name, device=device)


def _flux_fill(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.flux import FluxFill

    return FluxFill(folder, name=name, device=device)


def _visual_cloze(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.flux import VisualCloze

    return VisualCloze(folder, name=name, device=device)


def _generator(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.generating import open_base

    return open_base(folder, name=name, device=device)


def _hole_by_words(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.generating import HoleByWords

    return HoleByWords(folder, name=name, device=device)


def _vision_language(folder: Path, name: str | None, device: torch.device) -> Any:
    from vicl.adapters.vision_language import VisionLanguage

    return VisionLanguage(folder, name=name, device=device)


_USES: Final = {row.name: row.use for row in SEGMENTERS} | {row.name: row.use for row in GENERATORS}

ADAPTERS: Final[tuple[Adapter, ...]] = (
    Adapter(
        "sam",
        "segmenter",
        _USES["sam"],
        "facebook/sam-vit-base",
        frozenset({"sam", "sam_hq"}),
        _sam,
    ),
    Adapter(
        "sam2",
        "segmenter",
        _USES["sam2"],
        "facebook/sam2.1-hiera-small",
        frozenset({"sam2", "sam2_video"}),
        _sam,
    ),
    Adapter(
        "sam3",
        "segmenter",
        _USES["sam3"],
        "facebook/sam3",
        frozenset({"sam3_video"}),
        _sam3,
    ),
    Adapter(
        "sam3-tracker",
        "segmenter",
        _USES["sam3-tracker"],
        "owner/name",
        frozenset({"sam3_tracker", "sam3_tracker_video"}),
        _sam,
    ),
    Adapter(
        "clipseg",
        "segmenter",
        _USES["clipseg"],
        "CIDAS/clipseg-rd64-refined",
        frozenset({"clipseg"}),
        _clipseg,
    ),
    Adapter(
        "grounding-dino",
        "detector",
        _USES["grounding-dino"],
        "IDEA-Research/grounding-dino-tiny",
        frozenset({"grounding-dino"}),
        _grounding_dino,
    ),
    Adapter(
        "seggpt",
        "engine",
        "masks from one example or several, of one class or several",
        "BAAI/seggpt-vit-large",
        frozenset({"seggpt"}),
        _seggpt,
    ),
    Adapter(
        "sam3-composite",
        "engine",
        "SAM 3 asked by examples: they are pasted beside the query, with boxes on what they mark",
        "facebook/sam3",
        frozenset({"sam3_video"}),
        _sam3_composite,
    ),
    Adapter(
        "owlv2",
        "engine",
        "boxes of what looks like the examples' things",
        "google/owlv2-base-patch16-ensemble",
        frozenset({"owlv2"}),
        _owlv2,
    ),
    Adapter(
        "stable-diffusion-inpaint",
        "inpainter",
        "Stable Diffusion 1.5 and XL for inpainting, on the canvas of a layout",
        "stable-diffusion-v1-5/stable-diffusion-inpainting",
        frozenset({"StableDiffusionInpaintPipeline", "StableDiffusionXLInpaintPipeline"}),
        _stable_diffusion,
        extra="diffusers",
    ),
    Adapter(
        "flux-fill",
        "inpainter",
        "FLUX.1 Fill, 12 billion weights for non-commercial use, on the canvas of a layout",
        "black-forest-labs/FLUX.1-Fill-dev",
        frozenset({"FluxFillPipeline"}),
        _flux_fill,
        extra="diffusers",
    ),
    Adapter(
        "visual-cloze",
        "engine",
        "VisualCloze: any task from examples, painted by Flux in a grid of its own",
        "VisualCloze/VisualClozePipeline-384",
        frozenset({"VisualClozePipeline", "VisualClozeGenerationPipeline"}),
        _visual_cloze,
        extra="diffusers",
    ),
    Adapter(
        "gligen",
        "generator",
        _USES["gligen"],
        "masterful/gligen-1-4-generation-text-box@refs/pr/2",
        frozenset({"StableDiffusionGLIGENPipeline", "StableDiffusionGLIGENTextImagePipeline"}),
        _generator,
        extra="diffusers",
    ),
    Adapter(
        "controlnet",
        "generator",
        _USES["controlnet"],
        "stable-diffusion-v1-5/stable-diffusion-v1-5+edges=hub:lllyasviel/sd-controlnet-canny",
        frozenset({"StableDiffusionPipeline"}),
        _generator,
        extra="diffusers",
    ),
    Adapter(
        "inpaint",
        "generator",
        _USES["inpaint"],
        "stable-diffusion-v1-5/stable-diffusion-inpainting",
        frozenset(
            {
                "StableDiffusionInpaintPipeline",
                "StableDiffusionXLInpaintPipeline",
                "FluxFillPipeline",
            }
        ),
        _hole_by_words,
        extra="diffusers",
    ),
    Adapter(
        "vision-language",
        "vlm",
        "Idefics 2 and 3, SmolVLM, Qwen2.5-VL, Qwen3-VL: photographs with texts to a text",
        "HuggingFaceTB/SmolVLM-Instruct",
        frozenset({"idefics2", "idefics3", "smolvlm", "qwen2_5_vl", "qwen3_vl"}),
        _vision_language,
    ),
    Adapter(
        "transformers-encoder",
        "encoder",
        "features of DINOv2, DINOv3, CLIP or SigLIP; matching:owner/name answers with them",
        "facebook/dinov2-small",
        frozenset(
            {
                "dinov2",
                "dinov2_with_registers",
                "dinov3_vit",
                "dinov3_convnext",
                "clip",
                "clip_vision_model",
                "siglip",
                "siglip_vision_model",
            }
        ),
        _encoder,
    ),
)


def adapter_for(kind: str, *roles: Role) -> Adapter | None:
    """The adapter for a configuration's model_type, or its pipeline, of some roles."""
    return next((one for one in ADAPTERS if kind in one.kinds and one.role in roles), None)
