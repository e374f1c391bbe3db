"""What routes of labelling programs share: the prompt that their path names, and descriptions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends
from pydantic import BaseModel

from vicl.server.problems import Refusal
from vicl.server.service.batcher import Prompted
from vicl.server.service.service import Use


def _prompt(service: Use, prompt: str) -> Prompted:
    if prompt not in service.prompts:
        there = ", ".join(service.prompts) or "none"
        raise Refusal(404, f"There is no prompt {prompt[:80]!a} here; there are: {there}.")
    return service.prompts[prompt]


One = Annotated[Prompted, Depends(_prompt)]
"""The prompt file that a path names."""


def json_of(kind: Any, example: Any = None) -> Any:
    """How OpenAPI describes a reply by its example, or a body by its model and an example."""
    if example is None:
        return {200: {"content": {"application/json": {"example": kind}}}}
    schema: dict[str, Any] = {"type": "object"}
    if kind is not None:
        assert issubclass(kind, BaseModel)
        schema = kind.model_json_schema()
        definitions = schema.pop("$defs", {})
        schema = _inlined(schema, definitions)
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
    }


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema without references: they would point to nowhere in OpenAPI."""
    if isinstance(schema, list):
        return [_inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(one, definitions) for name, one in schema.items()}
