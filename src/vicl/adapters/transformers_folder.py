"""Model folders of the transformers library, read as those of strangers.

The library reads none of their files: the configuration is checked here, what is no number or word
of the architecture is left out (it could name code on the hub), and the weights are safetensors. So
no code but the library's own runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import torch

from vicl.files import display, reason
from vicl.files.bounded import read_bounded
from vicl.files.extras import to_install
from vicl.files.plain_json import parse_json
from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.storage.checkpoints import TensorRef
from vicl.storage.folder import CONFIG, WEIGHTS, ModelError
from vicl.storage.sharded import open_weights, weight_files

PREPROCESSOR: Final = "preprocessor_config.json"
"""Where a folder says how its model wants colours normalised; it may be absent."""

WHOLE_COPY: Final = (
    f"give it as hub:owner/name, and vicl fetches a whole copy ({to_install('hub')})"
)
"""What to do where something of a folder is missing."""

Colours = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of red, green and blue in [0, 1]."""

IMAGENET: Final[Colours] = (IMAGENET_MEAN, IMAGENET_STD)
CLIP: Final[Colours] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF: Final[Colours] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

_T = TypeVar("_T")

_MOST_LAYERS: Final = 200
_MOST: Final = 1 << 20
"""Of any number of an architecture; the largest vocabularies have a quarter of it."""

_TURNS: Final = frozenset({"rope_parameters", "rope_scaling", "rope_theta"})
"""Fields of what turns the features of a place, which say the architecture, too."""

_LARGEST: Final = 4096
"""Side of an image, in pixels."""

_DEEPEST: Final = 4
_CONFIG_LIMIT: Final = 1 << 20
_LAYERS: Final = re.compile("layers$|depth|blocks")


@dataclass(frozen=True)
class Architecture:
    """What a folder is made into.

    Attributes:
        config: Name of the library's class of its configuration.
        model: Name of its model's.
        unused: Ends of the names of weights that only training needs.
        wanted: Which of a file's tensors are read; None: all.
    """

    config: str
    model: str
    unused: tuple[str, ...] = ()
    wanted: Callable[[str], bool] | None = None


def library() -> ModuleType:
    """The transformers library.

    Raises:
        ModelError: If it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            f"models of the transformers library need it: {to_install('transformers')}"
        ) from error
    return transformers


def check_files(folder: Path, what: str = "an encoder") -> None:
    """See that a folder has a configuration, and weights that are read.

    Raises:
        ModelError: If it has not, or the library is not installed.
    """
    name = display(folder)
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{name}: is no folder of {what}, it has no {CONFIG}; {WHOLE_COPY}")
    library()  # who lacks it needs it first
    if weight_files(folder, WEIGHTS):
        return
    raise ModelError(
        f"{name}: has no {WEIGHTS}; vicl reads no pickled weights (pytorch_model.bin), so take a "
        f"version of the model that has safetensors; {WHOLE_COPY}"
    )


def open_folder(folder: Path, kinds: Mapping[str, _T], what: str) -> tuple[_T, dict[str, Any]]:
    """What kind of model a folder holds, and its configuration as it stands there.

    Args:
        folder: With a configuration, and weights.
        kinds: By model_type.
        what: What is expected there, for the message.

    Raises:
        ModelError: If a file is missing, or it is none of the kinds.
    """
    check_files(folder, what)
    found = read_json(folder / CONFIG)
    said = found.get("model_type")
    kind = kinds.get(said) if isinstance(said, str) else None
    if kind is None:
        raise ModelError(
            f"{display(folder / CONFIG)}: got the model_type {display(str(said))[:80]!r}, expected "
            f"one of {', '.join(kinds)}"
        )
    return kind, found


def read_json(path: Path, limit: int = _CONFIG_LIMIT) -> dict[str, Any]:
    """Read an object from a file of at most so many bytes.

    Raises:
        ModelError: If it is larger, or no JSON object.
    """
    try:
        found = parse_json(read_bounded(path, limit, ModelError))
    except ValueError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{display(path)}: is no JSON ({reason(error)})") from error
    if not isinstance(found, dict):
        raise ModelError(f"{display(path)}: got a {type(found).__name__}, expected an object")
    return found


def colours_of(folder: Path, usual: Colours) -> Colours:
    """How a folder's model wants colours normalised.

    Args:
        folder: May have a :data:`PREPROCESSOR`.
        usual: What it wants if it says nothing.

    Raises:
        ModelError: If what it says cannot be.
    """
    path = folder / PREPROCESSOR
    if not path.is_file():
        return usual
    said = read_json(path)
    if said.get("do_normalize") is False:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean = _three(said.get("image_mean", usual[0]))
    deviation = _three(said.get("image_std", usual[1]))
    if mean is None or deviation is None or min(deviation) < 1e-6:
        raise ModelError(
            f"{display(path)}: image_mean and image_std: expected three numbers each, deviations "
            "over 0"
        )
    return mean, deviation


def build(
    architecture: Architecture,
    fields: Mapping[str, Any],
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    labels: int | None = None,
) -> Any:
    """The model with its folder's weights; every one that it needs.

    Args:
        architecture: Of which classes it is.
        fields: The configuration as the folder says it; what is no architecture is left out.
        folder: Has the weights.
        device: Where it runs.
        dtype: Of its weights and arithmetic.
        labels: Of its classifier, where it is a model with one.

    Raises:
        ModelError: If configuration and weights make no such model.
    """
    transformers = library()
    name = display(folder)
    config_class = getattr(transformers, architecture.config)
    model_class = getattr(transformers, architecture.model)
    kind = architecture.model.removesuffix("Model")
    with open_weights(folder, WEIGHTS) as weights:
        refs = {
            key: ref
            for key, ref in weights.refs.items()
            if ref.storage.dtype.is_floating_point
            if architecture.wanted is None or architecture.wanted(key)
        }
        try:
            with _quiet(transformers):
                own = _own(fields, config_class, transformers)
                if labels is not None:
                    own["num_labels"] = labels
                config = config_class(**own)
                _check_room(model_class, config, architecture, refs)
                model, told = model_class.from_pretrained(
                    None,
                    config=config,
                    state_dict=weights.load(refs, dtype),
                    output_loading_info=True,
                    dtype=dtype,
                )
        except Exception as error:  # the library's errors share no base class but Exception
            raise ModelError(
                f"{name}: its configuration and weights make no {kind} ({reason(error)}); get "
                "whole copies of both"
            ) from error
    missing = sorted(key for key in told["missing_keys"] if not key.endswith(architecture.unused))
    if missing:
        raise ModelError(
            f"{name}: {WEIGHTS} lacks {len(missing)} of the weights that {CONFIG} asks for "
            f"({display(missing[0])[:80]} first); get whole copies of both"
        )
    return model.requires_grad_(False).eval().to(device)


def _check_room(
    model_class: Any, config: Any, architecture: Architecture, refs: Mapping[str, TensorRef]
) -> None:
    """Refuse what needs more weights than there are, before the library takes memory for them."""
    with torch.device("meta"):
        empty = model_class(config)
    needed = sum(
        value.numel()
        for key, value in empty.named_parameters()
        if not key.endswith(architecture.unused)
    )
    there = sum(ref.storage.numel for ref in refs.values())
    if needed > 2 * there:
        raise ModelError(f"it needs {needed:,} weights, but the file has {there:,}")


def _own(fields: Mapping[str, Any], config_class: Any, transformers: ModuleType) -> dict[str, Any]:
    """What of a configuration says the architecture.

    What all configurations have is none: among it are names of code to fetch.
    """
    common = transformers.PretrainedConfig().to_dict().keys()
    return _known(fields, config_class().to_dict(), common)


def _known(
    fields: Mapping[str, Any], usual: Mapping[str, Any], common: Any, depth: int = 0
) -> dict[str, Any]:
    """The fields that a configuration of the kind has, with those of its parts.

    Parts are of the kind that they usually are, whatever is said.
    """
    found: dict[str, Any] = {"model_type": usual["model_type"]} if depth else {}
    for key, value in fields.items():
        if key in _TURNS and "rope_parameters" in usual:
            found[key] = _turns(key, value)
            continue
        if key not in usual or key in common:
            continue
        if isinstance(value, dict):
            if "model_type" in (usual[key] or ()) and depth < _DEEPEST:
                found[key] = _known(value, usual[key], common, depth + 1)
        elif _is_plain(value) or (value is None and not isinstance(usual[key], dict)):
            _check_number(key, value)
            found[key] = value
    return found


def _turns(key: str, value: Any) -> Any:
    """How places are told apart, by numbers that may be large; files have two spellings of it."""
    inside = value if isinstance(value, dict) else {key: value}
    for name, one in inside.items():
        numbers = _flat(one) if isinstance(one, list) else [one]
        fits = all(n is None or isinstance(n, str | int | float) for n in numbers)
        if (
            not fits
            or len(numbers) > 64
            or any(isinstance(n, int) and n > 1 << 40 for n in numbers)
        ):
            raise ModelError(f"{key}: {display(str(name))[:40]}: expected a word or numbers")
    return value


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration is numbers, words and short lists of either, its numbers bounded.

    Raises:
        ModelError: If a number is too large.
    """
    found = {}
    for key, value in fields.items():
        words = isinstance(value, list) and len(value) <= 64
        if value is None or _is_plain(value) or (words and all(type(w) is str for w in value)):
            _check_number(key, value)
            found[key] = value
    return found


def _is_plain(value: object) -> bool:
    """A number or a word, or a short list of numbers or of lists of numbers."""
    if isinstance(value, list):
        inner = _flat(value)
        return len(inner) <= 64 and all(isinstance(one, int) for one in inner)
    return isinstance(value, int | float | str)


def _flat(values: list[Any]) -> list[Any]:
    return [one for each in values for one in (each if isinstance(each, list) else [each])]


def _check_number(key: str, value: Any) -> None:
    most = _MOST_LAYERS if _LAYERS.search(key) else _LARGEST if key == "image_size" else _MOST
    if key == "num_channels" and value not in (3, None):
        raise ModelError("its images have other channels than red, green and blue")
    numbers = _flat(value) if isinstance(value, list) else [value]
    for number in numbers:
        if type(number) is int and abs(number) > most:
            raise ModelError(f"{key}: got {number}, expected at most {most}")


def _three(values: object) -> tuple[float, float, float] | None:
    if not isinstance(values, Sequence) or len(values) != 3:
        return None
    if not all(isinstance(v, int | float) and abs(v) <= 1000 for v in values):  # NaN is not
        return None
    return float(values[0]), float(values[1]), float(values[2])


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Without the library's bars and reports while it loads; what matters is told by errors."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
