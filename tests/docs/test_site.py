"""The site, as `make docs` builds it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mkdocs.config import load_config

from handbook.reference import DOCS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(directory)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return directory


class _Loads(HTMLParser):
    """What a browser fetches by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("img", "script", "iframe", "source", "video", "audio", "embed"):
            self.addresses.append(found.get("src") or "")
        if tag == "link" and found.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(found.get("href") or "")


def test_a_page_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert loads.addresses
        assert [address for address in loads.addresses if re.match(r"(\w+:)?//", address)] == [], page
    for style in (*site.rglob("*.css"), *site.rglob("*.svg")):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", style.read_text(encoding="utf-8")), style


def test_every_page_of_docs_is_in_the_site_and_so_are_files_that_it_links_to(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file()
    assert "handler.py" in (site / "source/lambdas/launch.html").read_text(encoding="utf-8")
    assert "RunSession" in (site / "source/gaitway/runner/host/session.py.html").read_text(encoding="utf-8")
    assert (site / "changelog.html").is_file()


def _links(page: Path) -> Iterator[str]:
    text = re.sub(r"```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"\]\((?!https?:|#)([^)#]+)", text)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_of_the_pages_that_are_not_in_the_site_lead_somewhere(page: Path) -> None:
    assert [link for link in _links(page) if not (page.parent / link).exists()] == []


def test_the_addresses_of_site_and_repository_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {"GAITWAY_SITE_URL": "https://robots.example/docs/", "GAITWAY_REPO_URL": "https://git.example/gaitway"}
    for name in addresses:
        monkeypatch.delenv(name, raising=False)
    plain = load_config(str(ROOT / "mkdocs.yml"))
    for name, value in addresses.items():
        monkeypatch.setenv(name, value)
    given = load_config(str(ROOT / "mkdocs.yml"))

    assert (plain.site_url, plain.repo_url) == (None, None)
    assert (given.site_url, given.repo_url) == tuple(addresses.values())
