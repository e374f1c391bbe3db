"""`vicl export`: a prompt, or a segmenter, as ONNX graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, PATH, examples, flag, options, path, text
from vicl.files import display


@click.command(
    epilog=examples(
        "vicl predict --example leaf.jpg leaf_mask.png --task segmentation --save-prompt leaf.vicl",
        "vicl export leaf.vicl leaf.onnx",
        "# with a page that runs it in a browser; the folder is of npm's onnxruntime-web",
        "vicl export leaf.vicl site/leaf.onnx --page --runtime node_modules/onnxruntime-web/dist",
        "# clicks to masks: encoder.onnx and decoder.onnx",
        "vicl export default segmenter/",
    )
)
@click.argument("source")
@click.argument("out", type=PATH)
@options(
    text("--model", "NAME|FOLDER", "The prompt's engine, where it does not come with vicl."),
    flag("--int8", "Keep the weights in 8 bits, for two fifths of the size: prompts of matching."),
    flag("--page", "Also write OUT's name with .html: a page that runs it in a browser."),
    path("--runtime", "FOLDER", "--page: copy onnxruntime-web's two files from here beside it."),
    flag("--overwrite", "Replace files that exist."),
    DEBUG,
)
def export(source: str, out: Path, **given: Any) -> None:
    """Turn a prompt file SOURCE into the ONNX file OUT: examples, engine and all in one.

    SOURCE may also be a segmenter (default, or a model folder); OUT is a folder then. The files run
    without vicl and PyTorch; vicl.load_exported runs them, too. Needs pip install "vicl[onnx]".
    """
    with failing(2, debug=given["debug"]):
        _run(source, out, given)


def _run(source: str, out: Path, given: dict[str, Any]) -> None:
    prompt = Path(source).is_file() or source.endswith(".vicl")
    if given["runtime"] is not None and not given["page"]:
        raise click.UsageError("--runtime goes with --page")
    if not prompt and (given["page"] or given["int8"] or given["model"] is not None):
        raise click.UsageError("--page, --int8 and --model are for prompt files")
    files = [out, out.with_suffix(".html")] if given["page"] else [out]
    if not prompt:
        files = [out / "encoder.onnx", out / "decoder.onnx"]
    elif out.suffix != ".onnx":
        raise click.UsageError(f"OUT: got {display(out)}, expected a name that ends in .onnx")
    if not given["overwrite"] and (there := [file for file in files if file.exists()]):
        raise click.UsageError(f"{display(there[0])} exists already; --overwrite replaces it")
    from vicl.graphs.exporting import export_prompt, export_segmenter
    from vicl.graphs.page import missing, runtime_files, write_page

    runtime = runtime_files(given["runtime"]) if given["runtime"] is not None else []
    if prompt:
        from vicl.prompting.prompt_file import has_pool
        from vicl.prompting.prompter import VisualPrompter

        if has_pool(source):
            raise click.UsageError(
                f"{display(source)}: its examples are chosen from a pool for each query, and a "
                "graph has its own within it; save a prompt with examples"
            )
        loaded = VisualPrompter.load(source, model=given["model"], device="cpu")
        told = export_prompt(loaded, out, int8=given["int8"])
        if given["page"]:
            write_page(out, told, runtime)
    else:
        export_segmenter(source, out)
    for file in files:
        click.echo(display(file))
    if given["page"]:
        if lacking := missing(out.parent):
            click.echo(
                f"the page needs {' and '.join(lacking)} beside it: both are in dist/ of npm's "
                "onnxruntime-web; --runtime FOLDER copies them",
                err=True,
            )
        click.echo(
            f"look at it: python -m http.server -d {display(out.parent)}, then open "
            f"http://localhost:8000/{files[1].name} (a page opened as a file may load nothing)",
            err=True,
        )
