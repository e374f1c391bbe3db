"""What `mkdocs build` calls: checks first, then the pages and pictures that code makes.

mkdocs.yml names this file. Whatever is made lies in the site alone, never below `docs/`.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from making import ROOT, pages, pictures, reference
from making.markdown import relinked, slug
from making.outside import outside_addresses


def on_config(config: MkDocsConfig) -> None:
    """Check links and code of all pages that are written by hand; name anchors as GitHub does.

    Raises:
        PluginError: If something is wrong; it lists all of it.
    """
    found = pages.faults()
    if found:
        raise PluginError("\n".join(["the pages have faults:", *found]))
    config.mdx_configs.setdefault("toc", {})["slugify"] = lambda heading, _: slug(heading)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere in the repository, those that code writes, and pictures."""
    for source, place in pages.moved_pages().items():
        files.append(File.generated(config, place, content=_of_site(source)))
    for place, text in reference.pages().items():
        files.append(File.generated(config, place, content=text))
    for source in pages.shown_sources():
        if not pages.place_of(source).endswith(".md"):
            data = (ROOT / source).read_bytes()
            files.append(File.generated(config, pages.place_of(source), content=data))
    for page in pages.own_pages():
        for name in pictures.marks(pages.read(page)):
            if files.get_file_from_path(pictures.place_of(name)) is None:
                made = File.generated(config, pictures.place_of(name), content=pictures.drawn(name))
                files.append(made)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links of the pages below `docs/` lead within the site, and show pictures."""
    source = f"{pages.DOCS}/{page.file.src_uri}"
    return _of_site(source) if source in pages.own_pages() else markdown


def on_post_build(config: MkDocsConfig) -> None:
    """Look whether a page fetches anything from elsewhere.

    Raises:
        PluginError: If one does; it lists all of it.
    """
    found = outside_addresses(Path(config.site_dir))
    if found:
        raise PluginError("\n".join(["the site is not offline:", *found]))


def _of_site(source: str) -> str:
    """A page of the repository as the site shows it."""
    text = pages.read(source)
    if text.startswith("---\n"):  # the heading of a model card is for the hub
        text = text.partition("\n---\n")[2]
    moved = relinked(text, pages.site_links(source, text))
    return pictures.with_pictures(moved, pages.place_of(source))
