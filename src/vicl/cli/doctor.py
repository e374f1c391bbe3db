"""`vicl doctor`: what a bug report needs."""

from __future__ import annotations

import json
import os
import platform
from typing import Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import examples
from vicl.files import display
from vicl.files.extras import lacks, requirements, to_install, version_of


@click.command(epilog=examples("vicl doctor", "vicl doctor --json > report.json"))
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def doctor(as_json: bool) -> None:
    """Show versions, devices, extras and engines: put this into a bug report."""
    with failing(2):
        report = _report()
    if as_json:
        click.echo(json.dumps(report, indent=1))
        return
    for section, rows in report.items():
        click.echo(section)
        for name, value in rows.items():
            click.echo(f"    {name:<16} {value}")


def _report() -> dict[str, dict[str, Any]]:
    import torch

    from vicl import __version__
    from vicl.adapters.registry import ADAPTERS
    from vicl.encoders.registry import ENCODERS
    from vicl.files import hash_file
    from vicl.files.cache import cache_folder
    from vicl.files.machine import processor
    from vicl.files.revision import revision
    from vicl.loading import load_model
    from vicl.models.registry import ENGINES
    from vicl.published.download import downloaded, published

    needed = requirements()
    packages = {"vicl": __version__, "commit": revision() or "not known"}
    packages |= {name: _version(name) for name in needed[None]}
    extras = {extra: names for extra, names in needed.items() if extra not in (None, "dev")}
    mps = torch.backends.mps.is_available()
    devices: dict[str, Any] = {
        "cpu": f"{os.cpu_count()} cores; {processor(torch.device('cpu'))}",
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "not available",
        "mps": "available" if mps else "not available",
    }
    engines = {}
    for engine in ENGINES:
        weights = load_model(engine.name).weights_hash
        hashed = f", sha256 {weights}" if weights else ""
        engines[engine.name] = f"weights {engine.weights}{hashed}"
    models = {}
    for name in published():
        here = downloaded(name)
        models[name] = f"sha256 {hash_file(here / 'model.safetensors')}" if here else "not here"
    return {
        "system": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "machine": platform.machine(),
        },
        "packages": packages,
        "extras": {
            str(extra): ", ".join(f"{name} {_version(name)}" for name in names)
            for extra, names in extras.items()
        },
        "devices": devices,
        "engines": engines,
        "encoders": {
            row.name: row.weights.state() if row.weights else "weights none" for row in ENCODERS
        },
        "adapters": {
            adapter.name: f"ready for weights of yours; vicl models {adapter.name} says which"
            if not lacks(adapter.extra)
            else f"needs {to_install(adapter.extra, 'hub')}"
            for adapter in ADAPTERS
        },
        "others' models": _others(),
        "published models": {"cache": str(cache_folder()), **models},
    }


def _others() -> dict[str, str]:
    """Models that the hub's library has fetched here and that an adapter loads; nothing is read."""
    from vicl.adapters.opening import describe
    from vicl.storage.folder import ModelError
    from vicl.storage.hub import cached_models

    found = {}
    for repository, folder in cached_models().items():
        try:
            said = describe(folder, hashed=False)
        except ModelError:
            continue  # of some other library's
        if said["loaded_by"]:
            licence = f"licence: {said['licence']}"
            found[display(repository)] = f"{licence}; hash: vicl models hub:{display(repository)}"
    return found


def _version(package: str) -> str:
    return version_of(package) or "not installed"
