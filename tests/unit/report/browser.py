"""Pages in a real browser, as a reader opens them: from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

PHONE, DESKTOP = 400, 1180
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; Playwright's own where it has none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    with sync_playwright() as playwright:
        # As root, where CI runs, Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Shown:
    """An open page, and what it did that it must not do."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """What stood in the console, and what was asked of a network."""


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    *,
    width: int = DESKTOP,
    height: int = 900,
    colours: Literal["light", "dark"] = "light",
    scripts: bool = True,
) -> Iterator[Shown]:
    """Open a page in a window of its own."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=colours, java_script_enabled=scripts
    )
    try:
        page = context.new_page()
        shown = Shown(page)
        page.on("console", lambda message: shown.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        page.on("dialog", lambda dialog: shown.complaints.append(dialog.message))
        page.on(
            "request",
            lambda request: (
                None
                if request.url == file.as_uri() or request.url.startswith("data:")
                else shown.complaints.append(request.url)
            ),
        )
        page.goto(file.as_uri())
        yield shown
    finally:
        context.close()
