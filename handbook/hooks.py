"""Hooks for MkDocs (mkdocs.yml): files outside of docs/ that a page links to become pages with their source.

The pages are written for the repository, where `../gaitway/settings.py` is a file to look at. The site must work
alone: each such file becomes a page below `source/`, and a folder becomes a page that lists its files.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

_LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)(?:#[^)\s]*)?(\))")
_CHANGELOG = "changelog.md"
_FENCE = "`" * 5
_LANGUAGES = {".py": "python", ".json": "json", ".sh": "bash", ".toml": "toml", ".yaml": "yaml"}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each file and folder that a page links to, and the changelog."""
    root = _root(config)
    changelog = _from_root((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    files.append(_generated(config, _CHANGELOG, changelog, InclusionLevel.INCLUDED))
    for page in list(files.documentation_pages()):
        for match in _LINK.finditer(page.content_string):
            target = _outside(page.src_uri, match[2])
            if target is None:
                continue
            if not (root / target).exists():
                raise PluginError(f"{page.src_uri} links to {target}, which does not exist")
            uri = _page_of(target)
            if files.get_file_from_path(uri) is None:
                files.append(_generated(config, uri, _source_page(root, target), InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to files of the repository at their pages; highlight commands, which have no prompt here."""
    del files
    uri = page.file.src_uri
    if uri.startswith("source/"):
        page.meta["search"] = {"exclude": True}
        page.meta["hide"] = ["navigation", "toc"]
        return markdown

    def lead(match: re.Match[str]) -> str:
        target = _outside(uri, match[2])
        if target is None or not (_root(config) / target).exists():
            return match[0]
        return f"{match[1]}{posixpath.relpath(_page_of(target), posixpath.dirname(uri) or '.')}{match[3]}"

    return _LINK.sub(lead, markdown.replace("```console\n", "```bash\n"))


def _from_root(markdown: str) -> str:
    """Rewrite the links of a page at the repository's root for a page in docs/."""
    return re.sub(r"\]\((?!https?:|#)([^)]+)\)", r"](../\1)", markdown).replace("](../docs/", "](")


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path or "").parent


def _outside(uri: str, link: str) -> str | None:
    """The target of a page's link, relative to the repository; None if it is in docs/."""
    target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(uri), link))
    return None if target == "docs" or target.startswith("docs/") else target


def _page_of(target: str) -> str:
    return f"source/{target.removesuffix('/').lstrip('.')}.md"


def _generated(config: MkDocsConfig, uri: str, content: str, inclusion: InclusionLevel) -> File:
    return File.generated(config, uri, content=content, inclusion=inclusion)


def _source_page(root: Path, target: str) -> str:
    path = root / target
    if path.is_file():
        language = _LANGUAGES.get(path.suffix, "text")
        text = path.read_text(encoding="utf-8")
        return f"# {target}\n\n{_FENCE}{language}\n{text.rstrip()}\n{_FENCE}\n"
    rows = [
        f"| `{file.relative_to(path)}` | {_summary(file)} |"
        for file in sorted(path.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    ]
    return "\n".join((f"# {target}/", "", "| file | summary |", "|---|---|", *rows, ""))


def _summary(file: Path) -> str:
    """The first line of a module's docstring."""
    if file.suffix != ".py":
        return ""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].replace("|", r"\|")
