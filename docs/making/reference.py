"""The reference: pages that are written by code, of commands, Python's names, recipes, sources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import click

import vicl
from making import ROOT
from making.commands import inner_commands
from making.pages import place_of, shown_sources
from vicl.cli import main

PYTHON: Mapping[str, tuple[str, ...]] = {
    "Ask": ("predict", "VisualPrompter", "PromptSettings", "Answer", "Example", "MaskPrompt"),
    "Load": (
        "load_model",
        "load_segmenter",
        "load_encoder",
        "load_vlm",
        "load_generator",
        "load_classifier",
        "load_exported",
    ),
    "Canvas": ("Prompt", "Layout", "Canvas", "CanvasModel"),
    "Engines": ("InContextModel", "Inpainter", "Filled", "Sampling", "Candidates"),
    "Classes and colours": ("classify", "Classified", "colorize", "Dab"),
    "Client": ("Client", "AsyncClient"),
    "Errors": ("ImageError",),
}
"""The public names of vicl, by what they are for."""

_LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".json": "json"}


def pages() -> dict[str, str]:
    """All pages that are written here: their places in the site, and their Markdown."""
    made = {"reference/python.md": _python(), "reference/recipes.md": _recipes()}
    made["reference/commands.md"] = _commands()
    for name, command in inner_commands(main).items():
        made[f"reference/commands/{name}.md"] = "\n".join(_command(command, f"vicl {name}", 1))
    for source in shown_sources():
        if place_of(source).startswith("source/"):
            made[place_of(source)] = _source(source)
    return made


def _python() -> str:
    """The public names, from their docstrings."""
    named = {name for group in PYTHON.values() for name in group}
    if named | {"__version__"} != set(vicl.__all__):
        odd = named.symmetric_difference({*vicl.__all__} - {"__version__"})
        raise ValueError(f"PYTHON in making/reference.py and vicl.__all__ differ by {sorted(odd)}")
    lines = [
        "# Python",
        "",
        "Everything here is `vicl.NAME`, imported when it is first used: `import vicl` needs no "
        "PyTorch. An image is a path, a PIL image, an array HxW or HxWx3 of uint8, or a float "
        "tensor 3xHxW in [0, 1]. Sizes are (height, width); boxes are (x0, y0, x1, y1), half-open; "
        "points are (x, y) in pixels.",
        "",
    ]
    for group, names in PYTHON.items():
        lines += [f"## {group}", ""]
        for name in names:
            lines += [f"::: {_home(name)}", "    options:", "      heading_level: 3"]
            lines += [f"      heading: vicl.{name}", f"      toc_label: {name}", ""]
    return "\n".join(lines)


def _home(name: str) -> str:
    value = getattr(vicl, name)
    return f"{value.__module__}.{value.__qualname__}"


def _commands() -> str:
    rows = [
        f"| [`vicl {name}`](commands/{name}.md) | {_escaped(command.get_short_help_str(120))} |"
        for name, command in inner_commands(main).items()
    ]
    return "\n".join(
        [
            "# Commands",
            "",
            *_prose(str(main.help)),
            "| command | |",
            "|---|---|",
            *rows,
            "",
            "Each page is what `--help` says, written when the site was built.",
            "",
        ]
    )


def _command(command: click.Command, name: str, level: int) -> Iterator[str]:
    """A command and those below it."""
    context = click.Context(command, info_name=name, **main.context_settings)
    yield from (f"{'#' * level} {name}", "")
    yield from ("```text", context.get_usage().removeprefix("Usage: "), "```", "")
    yield from _prose(command.help or "")
    if not isinstance(command, click.Group):
        yield from _examples(command.epilog or "")
        yield from _options(command, context)
    for inner, below in inner_commands(command).items():
        yield from _command(below, f"{name} {inner}", level + 1)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for param in command.params:
        record = param.get_help_record(context)
        if record is not None and record[1]:
            yield from (f"`{record[0]}`", f":   {_escaped(' '.join(record[1].split()))}", "")


def _examples(epilog: str) -> Iterator[str]:
    _, _, shown = epilog.partition("Examples:\n")
    if shown:
        lines = (line.removeprefix("  ") for line in shown.splitlines())
        yield from ("```sh", *lines, "```", "")


def _prose(text: str) -> Iterator[str]:
    """The paragraphs of a help text; those behind a backspace keep their lines."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        plain = paragraph.replace("\f", "").strip()
        if plain.startswith("\b"):
            yield from ("```text", plain.removeprefix("\b").strip("\n"), "```", "")
        else:
            yield from (_escaped(" ".join(plain.split())), "")


def _escaped(text: str) -> str:
    """Plain text as Markdown; what stands between backticks stays code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
    for at in range(0, len(parts), 2):
        parts[at] = re.sub(r"([\\*_\[\]<>|])", r"\\\1", parts[at])
    return "`".join(parts)


def _recipes() -> str:
    lines = [
        "# Recipes",
        "",
        "A run of `vicl train NAME` is one YAML file. These come with the package; each says in "
        "its head what it is for and how long it takes. `--set KEY=VALUE` changes a key, "
        "`--dry-run` prints all keys with their defaults, and a wrong key is told with those that "
        "are allowed.",
        "",
    ]
    folder = ROOT / "src/vicl/recipes"
    for path in [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("heads/*.yaml"))]:
        lines += [f"## {path.stem}", "", "```yaml", path.read_text().rstrip(), "```", ""]
    return "\n".join(lines)


def _source(source: str) -> str:
    path = ROOT / source
    if path.is_dir():
        names = sorted(one.name for one in path.iterdir() if not one.name.startswith("__pycache__"))
        return "\n".join([f"# {source}", "", *(f"- `{name}`" for name in names), ""])
    fence = "`" * 6
    language = _LANGUAGES.get(path.suffix, "text")
    return f"# {source}\n\n{fence}{language}\n{path.read_text().rstrip()}\n{fence}\n"
