"""Loading engines, tokenizers, encoders and segmenters: by name, from folders, or from the hub.

Nothing heavy is imported until something is loaded.
"""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vicl.files.packaged import WEIGHTS, packaged_model
from vicl.models.registry import ENGINES, kinds

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from vicl.adapters.registry import Role
    from vicl.adapters.vision_language import VisionLanguage
    from vicl.engine import Encoder, InContextModel, Inpainter, Segmenter
    from vicl.generators.generator import PictureGenerator
    from vicl.models.devices import Device
    from vicl.models.matching import Matching, MatchingHead, OutlineHead
    from vicl.models.pretrained import Pretrained
    from vicl.models.vqgan import VQGAN

_HUB = "hub:"
_MATCHING = "matching:"
_REPOSITORY = r"[\w.-]+/[\w.-]+"
_TOKENIZERS = "tokenizer; give the folder of a VQGAN, of a model that predicts codes, or default"

BEST_FOR_TASK: dict[str, str] = {
    task: str(measured["engine"])
    for task, measured in json.loads((WEIGHTS / "best_for_task.json").read_text()).items()
}
"""Which engine `vicl.predict(model=None)` takes for a task, as measured on the sources that
training has seen: masks and boxes by `vicl evaluate TASK --sources ccp --episodes 100`, the others
by `benchmarks/default_model.py`."""


def load_model(
    source: str | os.PathLike[str], *, device: Device = "auto", dtype: str = "auto"
) -> Inpainter | InContextModel:
    """Load an engine.

    Args:
        source: The name of an engine (`vicl models` lists them); a model folder; a published
            checkpoint (.pth, .ckpt), which is converted in memory; the name of a published model
            that `vicl download` has fetched; a model on the Hugging Face hub ("owner/name");
            another's engine (`vicl models` lists which), by its folder or as "hub:owner/name" or
            "hub:owner/name@revision"; "matching:" and an encoder, by its name, folder or
            "owner/name" on the hub; or "ENGINE+SEGMENTER", an engine whose masks a segmenter
            draws. An engine's name comes first: say ./copy for a folder "copy".
        device: Where it runs: "cpu", "cuda" or "mps"; "auto" takes the best there is.
        dtype: Of its weights and arithmetic: "float32" or "bfloat16"; "auto" is float32.

    Raises:
        ValueError: If there is no such engine or file, it is broken, or it cannot run so; the
            message says what there is.
    """
    name = os.fspath(source)
    if "+" in name and not Path(source).exists():
        return _redrawn(name, device, dtype)
    if name.startswith(_MATCHING):
        return _matching_with(name, device, dtype)
    from vicl.models.devices import check_float32, check_plain

    engine = next((engine for engine in ENGINES if engine.name == name), None)
    if engine is not None and engine.make is not None:
        check_plain(name, device, dtype)
        return engine.make()
    from vicl.engine import InContextModel, Inpainter
    from vicl.models.matching import MatchingHead, OutlineHead
    from vicl.models.promptable import PromptableNet
    from vicl.storage.folder import ModelError

    adapted = _adapted(name, device, "engine", "inpainter")
    if adapted is not None:
        check_float32(name, dtype)
        assert isinstance(adapted, Inpainter | InContextModel)
        return adapted
    place = source if engine is None else packaged_model(name)
    loaded = _load_weights(place, device, dtype)
    if isinstance(loaded, MatchingHead | OutlineHead):
        if dtype not in ("auto", "float32"):  # it is rounded already
            loaded = _load_weights(place, device, "auto")
            assert isinstance(loaded, MatchingHead | OutlineHead)
        return _matching(name, loaded, device, dtype)
    if isinstance(loaded, PromptableNet):
        raise ModelError(
            f"{name}: is a segmenter, which answers clicks and boxes, not examples: "
            f"vicl.load_segmenter({name!r}) (command line: vicl segment --model {name})"
        )
    if not isinstance(loaded, Inpainter):
        raise ModelError(
            f"{name}: is a tokenizer, which draws what it is shown and fills no hole; train a "
            "model that predicts its codes (vicl train mae-vqgan-tiny-cpu --set "
            f"model.tokenizer={name})"
        )
    return loaded


def _matching(name: str, given: MatchingHead | OutlineHead, device: Device, dtype: str) -> Matching:
    """The engine with a head that was given, and the package's other one.

    The type is the encoder's: the heads are a seventh of the arithmetic, and stay in float32.
    """
    from vicl.models.matching import Matching, MatchingHead
    from vicl.storage.folder import ModelError

    encoder = load_encoder(given.config.encoder, device=device, dtype=dtype)
    if isinstance(given, MatchingHead):
        return Matching(encoder, given, outlines=_outlines(given.config.encoder, device))
    head = load_folder(packaged_model("matching"), device=device)
    assert isinstance(head, MatchingHead)
    if head.config.encoder != given.config.encoder:
        raise ModelError(
            f"{name}: is a head for lines over {given.config.encoder}, and the package's for masks "
            f"is over {head.config.encoder}; train one that reads the same encoder"
        )
    return Matching(encoder, head, outlines=given)


def _outlines(encoder: str, device: Device) -> OutlineHead | None:
    """The package's head for outlines, if it reads this encoder."""
    from vicl.models.matching import OutlineHead

    head = load_folder(packaged_model("outlines"), device=device)
    assert isinstance(head, OutlineHead)
    return head if head.config.encoder == encoder else None


def load_tokenizer(
    source: str | os.PathLike[str], *, device: Device = "auto", dtype: str = "auto"
) -> VQGAN:
    """Load a VQGAN.

    Args:
        source: Its folder, or a model that has one inside: anything that :func:`load_model` takes
            and that has weights, by name too: say ./default for a folder "default".
        device: As for :func:`load_model`.
        dtype: Likewise.

    Raises:
        ValueError: If there is no such file, it is broken, or has no VQGAN.
    """
    from vicl.models.vqgan import VQGAN
    from vicl.storage.folder import ModelError

    name = os.fspath(source)
    engine = next((engine for engine in ENGINES if engine.name == name), None)
    if engine is not None and engine.make is not None:
        raise ModelError(f"{name}: has no weights, and so no {_TOKENIZERS}")
    loaded = _load_weights(source if engine is None else packaged_model(name), device, dtype)
    found = loaded if isinstance(loaded, VQGAN) else getattr(loaded, "tokenizer", None)
    if not isinstance(found, VQGAN):
        raise ModelError(f"{name}: is a {type(loaded).__name__}, which has no {_TOKENIZERS}")
    return found


def load_encoder(
    source: str | os.PathLike[str], *, device: Device = "auto", dtype: str = "auto"
) -> Encoder:
    """Load an encoder; its features are float32.

    Args:
        source: The name of an encoder ("handmade", "efficientnet-lite2", "efficientnet-lite0"); a
            folder of transformers' DINOv2, DINOv3, CLIP or SigLIP; such a model on the Hugging
            Face hub ("hub:owner/name"); or "efficientnet-lite2+OTHER" (or -lite0), whose upper
            three levels are OTHER's. A name comes first: say ./handmade for a folder.
        device: As for :func:`load_model`; the hand-made features run on the CPU only.
        dtype: As for :func:`load_model`; "bfloat16" by an EfficientNet-Lite alone.

    Raises:
        ValueError: If there is no such encoder, its weights are missing, altered or broken, or it
            cannot run so; the message says what to do.
    """
    from vicl.encoders.registry import ENCODERS
    from vicl.models.devices import check_float32, check_plain, pick_device, pick_dtype

    name = os.fspath(source)
    row = next((row for row in ENCODERS if row.name == name), None)
    if row is not None:
        if row.weights is None:
            check_plain(name, device, dtype)
        return row.make(pick_device("cpu" if row.weights is None else device), pick_dtype(dtype))
    first, plus, second = name.partition("+")
    both = plus and any(row.name == first and row.weights for row in ENCODERS)
    if not name or (both and not second):
        raise ValueError(f"encoder: got {name!r}, expected the name or the folder of one (after +)")
    if both:
        from vicl.encoders.borrowed import Borrowed

        own, other = (load_encoder(one, device=device, dtype=dtype) for one in (first, second))
        return Borrowed(own, other)
    from vicl.adapters.opening import find_folder, note_origin
    from vicl.adapters.transformers_encoder import FILES, TransformersEncoder

    folder, called = find_folder(name, FILES)
    if folder.is_dir():
        check_float32(name, dtype)
        encoder = TransformersEncoder(folder, name=called, device=pick_device(device))
        note_origin(encoder.name, folder, encoder.weights_hash)
        return encoder
    names = ", ".join(row.name for row in ENCODERS)
    raise ValueError(
        f"encoder: got {name!r}, expected one of {names}, a folder of transformers' (there is "
        "none of this name), efficientnet-lite2+ and one of these, or a model on the hub as "
        "hub:owner/name"
    )


def load_segmenter(
    source: str | os.PathLike[str] = "default", *, device: Device = "auto"
) -> Segmenter:
    """Load what makes masks of clicks, boxes, scribbles and the like; it computes in float32.

    Args:
        source: "default", which comes with the package; the model folder of a promptable network
            of yours; or another's (`vicl models` lists which), by its folder or as
            "hub:owner/name" or "hub:owner/name@revision" from the Hugging Face hub. A detector of
            what is named draws with the default segmenter, or "DETECTOR+SEGMENTER" says with which.
            A name comes first: say ./default for a folder.
        device: As for :func:`load_model`.

    Raises:
        ValueError: If there is no such segmenter, its weights are missing or broken, or it cannot
            run so; the message says what there is.
    """
    from vicl.segmenters.registry import SEGMENTERS

    name, path = os.fspath(source), Path(source)
    row = next((row for row in SEGMENTERS if row.name == name and row.folder), None)
    if row is not None and row.folder is not None:
        path = packaged_model(row.folder)
    elif (adapted := _adapted_segmenter(name, device)) is not None:
        return adapted
    elif not path.is_dir():
        names = ", ".join(row.name for row in SEGMENTERS if row.folder)
        raise ValueError(
            f"segmenter: got {name!r}, expected {names} or a model folder (there is none of this "
            "name), or a model on the hub as hub:owner/name"
        )
    from vicl.models.promptable import PromptableNet
    from vicl.segmenters.promptable import Promptable

    net = PromptableNet.from_pretrained(path, device=device)
    if row is not None:
        net.name = row.name
    encoder = load_encoder(net.config.encoder, device=device)
    return Promptable(encoder, net, outlines=_outlines(net.config.encoder, device))


def load_generator(source: str | os.PathLike[str], *, device: Device = "auto") -> PictureGenerator:
    """Load what paints pictures from words and from what stands where.

    Args:
        source: Another's model (`vicl models` lists which), by its folder or as "hub:owner/name" or
            "hub:owner/name@revision" from the Hugging Face hub; or "BASE+MAP=NET", Stable Diffusion
            with a ControlNet for a map (edges, depth, normals, semantic), likewise; more +MAP=NET
            may follow.
        device: As for :func:`load_model`.

    Raises:
        ValueError: If there is no such model, it is broken, or a library is missing; the message
            says what there is.
    """
    name = os.fspath(source)
    base, *nets = [name] if Path(source).exists() else re.split(r"\+(?=\w+=)", name)
    found: PictureGenerator | None = _adapted(base, device, "generator")
    if found is None:
        raise ValueError(
            f"generator: got {base!r}, expected the folder of a pipeline (there is none of this "
            "name), or a model on the hub as hub:owner/name (vicl models)"
        )
    from vicl.adapters.opening import HUB_FILES, find_folder, note_origin

    for net in nets:
        map_, _, place = net.partition("=")
        folder, called = find_folder(place, HUB_FILES)
        found = found.with_net(map_, folder, called)
        note_origin(called or folder.name, folder, None)
    return found


def load_vlm(source: str | os.PathLike[str], *, device: Device = "auto") -> VisionLanguage:
    """Load a vision-language model, which answers photographs with text as examples show.

    Args:
        source: Another's (`vicl models` lists which), by its folder or as "hub:owner/name" or
            "hub:owner/name@revision" from the Hugging Face hub.
        device: As for :func:`load_model`.

    Raises:
        ValueError: If there is no such model, it is broken, or a library is missing; the message
            says what there is.
    """
    found = _adapted(os.fspath(source), device, "vlm")
    if found is None:
        raise ValueError(
            f"vision-language model: got {os.fspath(source)!r}, expected its folder (there is none "
            "of this name), or a model on the hub as hub:owner/name (vicl models)"
        )
    from vicl.adapters.vision_language import VisionLanguage

    assert isinstance(found, VisionLanguage)
    return found


def load_folder(
    folder: str | os.PathLike[str], *, device: Device = "auto", dtype: str = "auto"
) -> Pretrained:
    """Load a model folder; its `name` is the folder's, its `weights_hash` that of its weights.

    Args:
        folder: With `config.json` and `model.safetensors`.
        device: As for :func:`load_model`.
        dtype: As for :func:`load_model`.

    Raises:
        ModelError: If a file is missing or broken, or the weights do not fit the configuration.
        ValueError: If there is no such device or dtype.
    """
    from vicl.files import display
    from vicl.storage.folder import CONFIG, ModelError, read_manifest

    path = Path(folder)
    manifest = read_manifest(path)
    kind = kinds().get(manifest.model)
    if kind is None:
        raise ModelError(
            f"{display(path / CONFIG)}: got the model {manifest.model[:80]!r}, expected "
            f"{', '.join(kinds())}"
        )
    return kind.model.open(path, manifest, device=device, dtype=dtype)


def _matching_with(name: str, device: Device, dtype: str) -> Matching:
    """The engine `matching` on another encoder, under the name that was asked for."""
    from vicl.models.matching import Matching, MatchingHead

    wanted = name[len(_MATCHING) :]
    hub = re.fullmatch(_REPOSITORY, wanted, re.ASCII) and not Path(wanted).is_dir()
    head = _load_weights(packaged_model("matching"), device, "auto")
    assert isinstance(head, MatchingHead)
    both = f"{head.config.encoder}+{_HUB if hub else ''}{wanted}"
    encoder = load_encoder(both, device=device, dtype=dtype)
    other = encoder.name.removeprefix(f"{head.config.encoder}+")
    log.warning(
        "%s: the head was trained on the features of %s; on those of %s its chances are not "
        "calibrated, above all whether a thing is there",
        name,
        head.config.encoder,
        other,
    )
    return Matching(encoder, head, name=_MATCHING + other)


def _redrawn(name: str, device: Device, dtype: str) -> InContextModel:
    """An engine whose masks a segmenter draws, of "ENGINE+SEGMENTER"."""
    from vicl.engine import InContextModel
    from vicl.segmenters.redrawn import redrawn

    first, _, second = name.partition("+")
    engine = load_model(first, device=device, dtype=dtype)
    if not isinstance(engine, InContextModel):
        raise ValueError(f"model: {first} fills holes, expected an engine of masks before the +")
    return redrawn(engine, load_segmenter(second, device=device))


def _adapted(source: str, device: Device, *roles: Role) -> Any:
    """Another's model, from its folder or the hub; None where a source is no such thing.

    Raises:
        ModelError: If it is one that is not adapted, or none for these roles.
    """
    from vicl.adapters.opening import HUB_FILES, find_folder, open_adapter
    from vicl.models.devices import pick_device

    folder, name = find_folder(source, HUB_FILES)
    return open_adapter(folder, name, pick_device(device), roles)


def _adapted_segmenter(source: str, device: Device) -> Segmenter | None:
    """Another's segmenter, or a detector with a segmenter that draws in its boxes."""
    first, plus, second = (source, "", "") if Path(source).exists() else source.partition("+")
    found = _adapted(first, device, "segmenter", "detector")
    if found is None:
        return None
    from vicl.adapters.grounding_dino import Grounded, GroundingDino
    from vicl.engine import Segmenter

    if isinstance(found, GroundingDino):
        return Grounded(found, load_segmenter(second or "default", device=device))
    if plus:
        raise ValueError(f"segmenter: got {source!r}, expected a detector before the +")
    assert isinstance(found, Segmenter)
    return found


def _load_weights(source: str | os.PathLike[str], device: Device, dtype: str) -> Pretrained:
    """Load a model that is files: a folder, a checkpoint, or one fetched by name."""
    from vicl.published.download import downloaded, published

    name, path = os.fspath(source), Path(source)
    if path.name == "model.safetensors" and (path.parent / "config.json").is_file():
        path = path.parent
    if path.is_dir():
        return load_folder(path, device=device, dtype=dtype)
    if path.exists():
        return _load_checkpoint(path, device, dtype)
    fetched = downloaded(name)
    if fetched is not None and not (fetched / "config.json").is_file():
        raise ValueError(
            f"model: {name} answers nothing; it measures answers: vicl evaluate colorization "
            f"--lpips {fetched / 'model.safetensors'}"
        )
    if fetched is not None:
        return load_folder(fetched, device=device, dtype=dtype)
    if name in published():
        raise ValueError(f"model: {name} is not on this machine; get it: vicl download {name}")
    if isinstance(source, str) and re.fullmatch(_REPOSITORY, name, re.ASCII):
        from vicl.storage.hub import fetch_from_hub

        model = load_folder(fetch_from_hub(name), device=device, dtype=dtype)
        model.name = path.name
        return model
    names = ", ".join(engine.name for engine in ENGINES)
    raise ValueError(
        f"model: got {name!r}, expected one of {names}, or a model folder or checkpoint file "
        "(there is no such file), or a model on the hub as hub:owner/name (vicl models)"
    )


def _load_checkpoint(path: Path, device: Device, dtype: str) -> Pretrained:
    """Convert a published checkpoint in memory."""
    from vicl.models.devices import pick_device, pick_dtype
    from vicl.published.convert import read_published
    from vicl.storage.folder import weights_hash

    place, kind = pick_device(device), pick_dtype(dtype)
    model = read_published(path)
    model.name = path.stem
    # What the converted folder would have, so that a prompt made with either suits the other.
    model.weights_hash = weights_hash(model)
    return model.to(device=place, dtype=kind)
