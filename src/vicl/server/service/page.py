"""`/docs`: the OpenAPI description as a plain page, without scripts or anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any


def page_of(described: dict[str, Any]) -> str:
    """The page of an OpenAPI description."""
    return "\n".join(_lines(described))


def _lines(described: dict[str, Any]) -> Iterator[str]:
    title = escape(described["info"]["title"])
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width"></head><body><main>'
    yield f"<h1>{title} {escape(described['info']['version'])}</h1>"
    yield _text(described["info"].get("description", ""))
    yield '<p>For programs: <a href="v1/openapi.json">the OpenAPI description</a>.</p>'
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p><strong>{escape(route.get('summary', ''))}</strong></p>"
            yield _text(route.get("description", ""))
            yield from _body(route)
            yield from _replies(route)
    yield "</main></body></html>"


def _text(text: str) -> str:
    parts = [part for part in text.split("\n\n") if part.strip()]
    return "".join(
        f"<pre>{escape(part)}</pre>" if part.startswith("    ") else f"<p>{escape(part)}</p>"
        for part in parts
    )


def _body(route: dict[str, Any]) -> Iterator[str]:
    for kind, content in route.get("requestBody", {}).get("content", {}).items():
        fields = content.get("schema", {}).get("properties", {})
        if not fields:
            continue
        yield f"<h3>{escape(kind)}</h3><table><thead><tr><th>Field</th><th>What it is</th>"
        yield "<th>If left out</th></tr></thead><tbody>"
        for name, field in fields.items():
            told = escape(field.get("description", ""))
            choices = field.get("enum") or next(
                (one["enum"] for one in field.get("anyOf", ()) if "enum" in one), ()
            )
            told += escape(f" One of {', '.join(map(str, choices))}." if choices else "")
            default = escape(json.dumps(field["default"])) if "default" in field else ""
            yield f"<tr><td><code>{escape(name)}</code></td><td>{told}</td>"
            yield f"<td>{default}</td></tr>"
        yield "</tbody></table>"


def _replies(route: dict[str, Any]) -> Iterator[str]:
    yield "<h3>Replies</h3><ul>"
    for code, reply in route["responses"].items():
        yield f"<li>{escape(str(code))}: {escape(reply['description'])}</li>"
    yield "</ul>"
    for content in route["responses"].get("200", {}).get("content", {}).values():
        if "example" in content:
            yield f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>"
