"""The pages in a real Chromium: whole, readable on a telephone and in the dark, and silent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from gaitway.report import ComparedRun, render_comparison
from gaitway.report.charts import PLANE
from tests.unit.report.browser import DESKTOP, PHONE, chromium, opened
from tests.unit.report.stored import Run, evaluation, resumed_training

KINDS = ("training", "evaluation", "failure", "comparison")

# Every visible text, with its colour and the colours behind it, and its box.
_TEXTS = """() => [...document.querySelectorAll("body *")].filter((element) =>
    element.checkVisibility() && !element.closest("svg, video, .readout")
    && [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim()))
  .map((element) => {
    const behind = [];
    for (let at = element; at; at = at.parentElement) behind.push(getComputedStyle(at).backgroundColor);
    const range = document.createRange(); range.selectNodeContents(element);
    const box = range.getBoundingClientRect();
    return { text: element.textContent.trim().slice(0, 60), colour: getComputedStyle(element).color, behind,
             left: box.left, right: box.right };
  })"""
# What lies beyond the box that it is cut off at.
_CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility()
    && element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== "visible")
  .map((element) => element.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One page of each kind, in a file."""
    directory = tmp_path_factory.mktemp("pages")
    training, evaluated = resumed_training(directory), evaluation(directory)
    runs = [training, Run.stored("skrl"), evaluated, Run.stored("failed")]
    written = {
        "training": training.page,
        "evaluation": evaluated.page,
        "failure": Run.stored("failed").page,
        "comparison": render_comparison([ComparedRun(run.subject, "a/report.html") for run in runs]),
    }
    for kind, page in written.items():
        (directory / f"{kind}.html").write_text(page)
    return {kind: directory / f"{kind}.html" for kind in written}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "colours"), [(PHONE, "light"), (DESKTOP, "dark")])
def test_nothing_is_cut_off_or_hard_to_read_and_nothing_is_loaded(
    browser: Browser, pages: dict[str, Path], kind: str, width: int, colours: Literal["light", "dark"]
) -> None:
    with opened(browser, pages[kind], width=width, colours=colours) as shown:
        shown.page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
        texts: list[dict[str, Any]] = shown.page.evaluate(_TEXTS)

        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
        assert [text for text in texts if text["left"] < 0 or text["right"] > width] == []
        assert shown.page.evaluate(_CUT_OFF) == []
        assert [text for text in texts if contrast(text["colour"], text["behind"]) < 4.5] == []
        ground = luminance(rgb(shown.page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3])
        assert ground < 0.02 if colours == "dark" else ground > 0.9
        strokes = shown.page.locator(".line:not(.faint)").evaluate_all(
            "all => all.map(e => getComputedStyle(e).stroke)"
        )
        behind = shown.page.evaluate("[getComputedStyle(document.body).backgroundColor]")
        assert all(contrast(stroke, behind) >= 3 for stroke in strokes)
        assert shown.complaints == []


def test_curves_end_with_the_last_value_and_show_values_under_the_pointer(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["training"]) as shown:
        reward = shown.page.locator("figure", has_text="Mean reward").first

        assert "last 289.5" in reward.inner_text()
        assert last_value(reward.locator(".line.faint").get_attribute("d"), reward.locator(".plot")) == pytest.approx(
            289.539, abs=0.1
        )
        assert "resumed at iteration 40" in reward.inner_text()
        at = re.search(r"M(\d+)", reward.locator(".mark").get_attribute("d") or "")
        assert at is not None
        assert int(at[1]) / PLANE == pytest.approx((40 - 1) / (80 - 1), abs=1e-3)
        box = reward.locator(".plot").bounding_box()
        assert box is not None
        shown.page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20)
        assert reward.locator(".readout").inner_text().splitlines() == ["iteration: 80", "Mean reward: 289.5"]


@pytest.mark.timeout(60)
def test_the_video_plays(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["evaluation"]) as shown:
        ready = shown.page.evaluate(
            """() => new Promise((resolve) => {
                const video = document.querySelector("video");
                // It plays for as long as it can be seen.
                video.scrollIntoView();
                video.addEventListener("timeupdate", () => video.currentTime > 0 && resolve(video.readyState));
            })"""
        )

        assert ready >= 3
        assert shown.page.evaluate("document.querySelector('video').videoWidth") == 160
        assert shown.complaints == []


@pytest.mark.parametrize("kind", ["training", "comparison"])
def test_without_scripts_the_page_says_the_same(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    with opened(browser, pages[kind]) as shown, opened(browser, pages[kind], scripts=False) as bare:
        assert words(bare.page) == words(shown.page)
        assert bare.complaints == []


def test_names_causes_and_diffs_stay_text(browser: Browser, tmp_path: Path) -> None:
    hostile = "</script></title><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7 * 7 }}"
    run = Run.stored("failed")
    assert run.config is not None
    assert run.results.failure is not None
    (tmp_path / "a_git_diff.txt").write_text(f"+{hostile}\n")
    page = run._replace(
        results=run.results.model_copy(
            update={
                "task": hostile,
                "failure": run.results.failure.model_copy(update={"cause": f"{hostile}\n{hostile}"}),
            }
        ),
        config=run.config.model_copy(update={"name": hostile, "description": hostile, "image": hostile}),
        files={"a_git_diff.txt": tmp_path / "a_git_diff.txt"},
        listed=[entry.model_copy(update={"path": f"javascript:{hostile}"}) for entry in run.listed[:1]],
    )
    hostile_metrics = page.with_metrics(
        tmp_path / "metrics.csv", f'step,wall_time,"{hostile.replace(chr(34), "")}"\n0,1,2\n'
    )
    file = tmp_path / "report.html"
    file.write_text(hostile_metrics.page)

    with opened(browser, file) as shown:
        assert shown.page.locator("h1").inner_text() == hostile
        assert shown.page.locator("img").count() == 0
        assert shown.page.locator("script").count() == 1
        links = shown.page.locator(".files a").evaluate_all("all => all.map(a => a.protocol)")
        assert set(links) == {"file:"}
        shown.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(3)>')")
    # What gets into the page nevertheless, its policy holds back; that stands in the console.
    said = [complaint for complaint in shown.complaints if complaint.startswith("error: ")]
    assert len(said) == 2
    assert all("Content Security Policy" in complaint for complaint in said)
    assert not {"1", "2", "3"} & set(shown.complaints)


def words(page: Page) -> str:
    return page.locator("body").inner_text()


def last_value(d: str | None, plot: Any) -> float:
    """Read a line's last value back."""
    low, high = map(float, (plot.get_attribute("data-y") or "").split())
    y = float((d or "").rsplit(" ", 1)[1])
    return high - y / PLANE * (high - low)


def rgb(colour: str) -> tuple[float, ...]:
    parts = tuple(map(float, re.findall(r"[\d.]+", colour)))
    return parts if len(parts) == 4 else (*parts, 1.0)


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance: www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: str, behind: list[str]) -> float:
    """Contrast of a text, or a line, with the first colour behind it: www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    ground = next(found[:3] for found in map(rgb, behind) if found[3] == 1)
    lighter, darker = sorted((luminance(rgb(colour)[:3]), luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
