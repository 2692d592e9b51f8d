"""The dashboard draws what runs offer, and nothing else."""

from __future__ import annotations

import itertools
import re

from gaitway.contracts.metrics import SCRAPED_OF_GPUS, SCRAPED_OF_RUNS
from stacks.prometheus.dashboard import PANELS, dashboard
from stacks.prometheus.rules import RECORDINGS

OFFERED = {metric.name for metric in (*SCRAPED_OF_RUNS, *SCRAPED_OF_GPUS)}
RECORDED = {recording.name for recording in RECORDINGS}
ITS_OWN = {"ALERTS"}


def names_in(expression: str) -> set[str]:
    """The series in an expression: words before braces or alone, without functions, labels and variables."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", expression)
    words = re.findall(r"[A-Za-z_:][\w:]*(?!\w*\()", bare)
    return {word for word in words if word.startswith(("gaitway", "run:", "task:", "ALERTS"))}


def test_every_metric_is_drawn() -> None:
    drawn = set().union(*(names_in(panel.expression) for panel in PANELS))
    assert drawn <= OFFERED | RECORDED | ITS_OWN
    assert drawn >= OFFERED
    assert drawn >= RECORDED


def test_panels_lie_beside_and_below_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            *itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_each_panel_says_what_it_shows() -> None:
    for panel in dashboard()["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
    assert len({panel.title for panel in PANELS}) == len(PANELS)
