"""The pages of the documentation, as far as tests look at them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handbook.reference import DOCS, ROOT

PAGES = tuple(sorted((ROOT / "README.md", *DOCS.rglob("*.md"))))
SHELL = ("console", "bash", "sh", "shell")
_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    heading: str
    """The one that it stands below."""
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Give the fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        before = re.sub(_BLOCK, "", text[: match.start()])
        headings = re.findall(r"^#+ (.+)$", before, re.MULTILINE)
        yield Block(page, headings[-1] if headings else "", match["language"], match["text"])


def shell_blocks(page: Path) -> list[Block]:
    """Give the blocks of a page that a reader types into a shell."""
    return [block for block in blocks(page) if block.language in SHELL]
