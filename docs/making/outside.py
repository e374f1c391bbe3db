"""Whether a built site fetches anything from elsewhere: scripts, styles, fonts, pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
_RELATIONS = {"stylesheet", "preconnect", "preload", "icon", "prefetch", "dns-prefetch", "manifest"}
_STYLE = re.compile(r"(?:url\(\s*[\"']?|@import\s+[\"'])((?:https?:)?//[^\"')]+)")


class _Fetched(HTMLParser):
    """What a page fetches as it is shown; a link that a person follows does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in _FETCHED:
            self.addresses.append(given.get(_FETCHED[tag], ""))
        elif tag == "link" and _RELATIONS & set(given.get("rel", "").split()):
            self.addresses.append(given.get("href", ""))
        self.addresses += _STYLE.findall(given.get("style", ""))


def fetched(html: str) -> list[str]:
    """Addresses on other hosts that a page fetches as it is shown."""
    parser = _Fetched()
    parser.feed(html)
    inline = re.findall(r"<style[^>]*>(.*?)</style>", html, re.S)
    found = [*parser.addresses, *(one for style in inline for one in _STYLE.findall(style))]
    return [one for one in found if re.match(r"(https?:)?//", one)]


def outside_addresses(site: Path) -> list[str]:
    """What the pages and styles of a site fetch from other hosts: a file and an address each."""
    return [f"{path.relative_to(site)}: {one}" for path, one in _addresses(site)]


def _addresses(site: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(site.rglob("*.html")):
        yield from ((path, one) for one in fetched(path.read_text()))
    for path in sorted(site.rglob("*.css")):
        yield from ((path, one) for one in _STYLE.findall(path.read_text()))
