"""Other people's models, a row a family; importing this imports neither PyTorch nor a library."""

from __future__ import annotations

import importlib
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
        home: Its module among the adapters, and its class, which takes a folder, a name and a
            device.
        extra: Of vicl's, that it needs.
    """

    name: str
    role: Role
    use: str
    example: str
    kinds: frozenset[str]
    home: tuple[str, str]
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

    def open(self, folder: Path, name: str | None, device: torch.device) -> Any:
        """Import the adapter and open a folder with it.

        Args:
            folder: Of a model of the family.
            name: What it is called; None takes the folder's name.
            device: Where it runs.

        Raises:
            ModelError: If the library that it needs is not installed, or the folder is broken.
        """
        module, kind = self.home
        opened = getattr(importlib.import_module(f"vicl.adapters.{module}"), kind)
        return opened(folder, name=name, device=device)


_USES: Final = {row.name: row.use for row in SEGMENTERS} | {row.name: row.use for row in GENERATORS}

ADAPTERS: Final[tuple[Adapter, ...]] = (
    Adapter(
        "sam",
        "segmenter",
        _USES["sam"],
        "facebook/sam-vit-base",
        frozenset({"sam", "sam_hq"}),
        ("sam", "Sam"),
    ),
    Adapter(
        "sam2",
        "segmenter",
        _USES["sam2"],
        "facebook/sam2.1-hiera-small",
        frozenset({"sam2", "sam2_video"}),
        ("sam", "Sam"),
    ),
    Adapter(
        "sam3",
        "segmenter",
        _USES["sam3"],
        "facebook/sam3",
        frozenset({"sam3_video"}),
        ("sam3", "Sam3"),
    ),
    Adapter(
        "sam3-tracker",
        "segmenter",
        _USES["sam3-tracker"],
        "owner/name",
        frozenset({"sam3_tracker", "sam3_tracker_video"}),
        ("sam", "Sam"),
    ),
    Adapter(
        "clipseg",
        "segmenter",
        _USES["clipseg"],
        "CIDAS/clipseg-rd64-refined",
        frozenset({"clipseg"}),
        ("clipseg", "CLIPSeg"),
    ),
    Adapter(
        "grounding-dino",
        "detector",
        _USES["grounding-dino"],
        "IDEA-Research/grounding-dino-tiny",
        frozenset({"grounding-dino"}),
        ("grounding_dino", "GroundingDino"),
    ),
    Adapter(
        "seggpt",
        "engine",
        "masks from one example or several, of one class or several",
        "BAAI/seggpt-vit-large",
        frozenset({"seggpt"}),
        ("seggpt", "SegGPT"),
    ),
    Adapter(
        "sam3-composite",
        "engine",
        "SAM 3 asked by examples: they are pasted beside the query, with boxes on what they mark",
        "facebook/sam3",
        frozenset({"sam3_video"}),
        ("sam3_composite", "Sam3Composite"),
    ),
    Adapter(
        "owlv2",
        "engine",
        "boxes of what looks like the examples' things",
        "google/owlv2-base-patch16-ensemble",
        frozenset({"owlv2"}),
        ("owlv2", "OWLv2"),
    ),
    Adapter(
        "stable-diffusion-inpaint",
        "inpainter",
        "Stable Diffusion 1.5 and XL for inpainting, on the canvas of a layout",
        "stable-diffusion-v1-5/stable-diffusion-inpainting",
        frozenset({"StableDiffusionInpaintPipeline", "StableDiffusionXLInpaintPipeline"}),
        ("stable_diffusion", "StableDiffusion"),
        extra="diffusers",
    ),
    Adapter(
        "flux-fill",
        "inpainter",
        "FLUX.1 Fill, 12 billion weights for non-commercial use, on the canvas of a layout",
        "black-forest-labs/FLUX.1-Fill-dev",
        frozenset({"FluxFillPipeline"}),
        ("flux", "FluxFill"),
        extra="diffusers",
    ),
    Adapter(
        "visual-cloze",
        "engine",
        "VisualCloze: any task from examples, painted by Flux in a grid of its own",
        "VisualCloze/VisualClozePipeline-384",
        frozenset({"VisualClozePipeline", "VisualClozeGenerationPipeline"}),
        ("flux", "VisualCloze"),
        extra="diffusers",
    ),
    Adapter(
        "gligen",
        "generator",
        _USES["gligen"],
        "masterful/gligen-1-4-generation-text-box@refs/pr/2",
        frozenset({"StableDiffusionGLIGENPipeline", "StableDiffusionGLIGENTextImagePipeline"}),
        ("generating", "open_base"),
        extra="diffusers",
    ),
    Adapter(
        "controlnet",
        "generator",
        _USES["controlnet"],
        "stable-diffusion-v1-5/stable-diffusion-v1-5+edges=hub:lllyasviel/sd-controlnet-canny",
        frozenset({"StableDiffusionPipeline"}),
        ("generating", "open_base"),
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
        ("generating", "HoleByWords"),
        extra="diffusers",
    ),
    Adapter(
        "vision-language",
        "vlm",
        "Idefics 2 and 3, SmolVLM, Qwen2.5-VL, Qwen3-VL: photographs with texts to a text",
        "HuggingFaceTB/SmolVLM-Instruct",
        frozenset({"idefics2", "idefics3", "smolvlm", "qwen2_5_vl", "qwen3_vl"}),
        ("vision_language", "VisionLanguage"),
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
        ("transformers_encoder", "TransformersEncoder"),
    ),
)


def adapter_for(kind: str, *roles: Role) -> Adapter | None:
    """The adapter for a configuration's model_type, or its pipeline, of some roles."""
    return next((one for one in ADAPTERS if kind in one.kinds and one.role in roles), None)
