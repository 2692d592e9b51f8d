"""A page that is written from a template and from the code."""

from __future__ import annotations

from pathlib import Path
from string import Template

_TEMPLATES = Path(__file__).parent / "templates"
_NOTE = "<!-- Written by `python -m handbook.reference` from handbook/templates and the code: do not edit. -->"


def page(name: str, **parts: str) -> str:
    """Fill in a template; its title stays the first line."""
    text = Template((_TEMPLATES / name).read_text(encoding="utf-8")).substitute(parts)
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{_NOTE}\n{rest}"


def cell(text: str) -> str:
    """Write a text as a cell of a table."""
    return text.replace("|", r"\|")


def code(text: str) -> str:
    """Write code as a part of a cell; a bar in it is written in the one way that both GitHub and MkDocs understand."""
    if "|" not in text:
        return f"`{text}`"
    written = "".join(char if char.isalnum() else f"&#{ord(char)};" for char in text)
    return f"<code>{written}</code>"
