"""What a wheel holds, as a CycloneDX list: `python -m release.inventory dist/vicl-*.whl`.

Every file with its hash and licence, grouped by what it is: weights, photographs, other people's
scripts, and the package. The same wheel gives the same list.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
import zipfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.parser import BytesParser
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalContact
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from release.shipped import (
    OWN,
    VENDORED,
    Photograph,
    konva_version,
    licence_of_card,
    photographs,
)

WEIGHTS = "vicl/weights/"
PHOTOS = "vicl/photos/"


def inventory(wheel: Path) -> str:
    """The list of a wheel's files, as JSON.

    Args:
        wheel: The file.

    Raises:
        ValueError: If a file's licence is not known.
    """
    with zipfile.ZipFile(wheel) as archive:
        files = {one.filename: archive.read(one) for one in archive.infolist()}
        built = max(one.date_time for one in archive.infolist())
    (about,) = [name for name in files if name.endswith(".dist-info/METADATA")]
    told = BytesParser().parsebytes(files[about])
    bom = Bom(
        # The wheel's own date, and a number of its bytes: not of this run.
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, _sha256(wheel.read_bytes())),
    )
    bom.metadata.timestamp = datetime(*built, tzinfo=UTC)
    bom.metadata.component = Component(
        name=told["Name"],
        version=told["Version"],
        description=told["Summary"],
        type=ComponentType.LIBRARY,
        bom_ref=told["Name"],
        purl=PackageURL("pypi", name=told["Name"], version=told["Version"]),
        licenses=_licence(told["License-Expression"]),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=_sha256(wheel.read_bytes()))],
    )
    for component in _components(files):
        bom.components.add(component)
    bom.register_dependency(bom.metadata.component, bom.components)
    text: str = JsonV1Dot6(bom).output_as_string(indent=1)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise ValueError(f"{wheel.name}: its list does not fit CycloneDX's schema: {fault}")
    return text


def _components(files: Mapping[str, bytes]) -> Iterable[Component]:
    """Models and scripts with their files below them, then the other files."""
    rest = dict(files)
    for folder in sorted({name.split("/")[2] for name in files if name.startswith(WEIGHTS)}):
        below = f"{WEIGHTS}{folder}/"
        own = {name: rest.pop(name) for name in files if name.startswith(below)}
        if not own:
            continue  # a file beside the folders
        licence = licence_of_card(own[f"{below}README.md"].decode())
        yield _group(f"vicl/{folder}", ComponentType.MACHINE_LEARNING_MODEL, licence, own)
    scripts = {name: rest.pop(name) for name in files if name.startswith(VENDORED)}
    version = konva_version(scripts[f"{VENDORED}konva.min.js"].decode())
    yield _group("konva", ComponentType.LIBRARY, "MIT", scripts, version=version)
    listed = rest[f"{PHOTOS}README.md"].decode()
    pictures = [
        name.removeprefix(PHOTOS) for name in rest if name.startswith(PHOTOS) and _picture(name)
    ]
    for one in photographs(listed, pictures):
        name = f"{PHOTOS}{one.file}"
        yield _file(name, rest.pop(name), one.licence, one)
    for name in sorted(rest):
        yield _file(name, rest[name], OWN)


def _group(
    name: str,
    kind: ComponentType,
    licence: str,
    files: Mapping[str, bytes],
    version: str | None = None,
) -> Component:
    return Component(
        name=name,
        type=kind,
        bom_ref=name,
        version=version,
        purl=None if version is None else PackageURL("npm", name=name, version=version),
        licenses=_licence(licence),
        components=[_file(one, data, licence) for one, data in sorted(files.items())],
    )


def _file(name: str, data: bytes, licence: str, whose: Photograph | None = None) -> Component:
    return Component(
        name=name,
        type=ComponentType.FILE,
        bom_ref=f"file:{name}",
        authors=None if whose is None else [OrganizationalContact(name=whose.author)],
        description=None if whose is None else whose.source,
        licenses=_licence(licence),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=_sha256(data))],
    )


def _licence(said: str) -> list[License]:
    return [LicenseFactory().make_from_string(said)]


def _picture(name: str) -> bool:
    return name.endswith((".jpg", ".png"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    print(inventory(Path(sys.argv[1])))
