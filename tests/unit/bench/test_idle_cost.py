"""docs/deploy.md says what prices.json comes to, and names settings that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.idle_cost import Line, read, table
from gaitway.settings import Settings

DOC = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text(encoding="utf-8")


def test_a_table_has_each_line_and_their_sum() -> None:
    lines = [Line("a", 10, "hours", 0.25, "page"), Line("b", 2, "GB", 1.5, "page")]
    rows = table(lines).splitlines()[2:]
    assert rows == ["| a | 10 hours at 0.25 | 2.50 |", "| b | 2 GB at 1.5 | 3.00 |", "| **together** | | **5.50** |"]


@pytest.mark.parametrize("part", ["idle", "warm"])
def test_the_documentation_has_the_present_figures(part: str) -> None:
    lines = read(part)
    assert all(line.source.startswith("https://") for line in lines)
    assert table(lines) in DOC, "run `python -m bench.idle_cost`"


def test_the_documentation_names_settings_that_there_are() -> None:
    section = DOC.partition("\n## Settings\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z]+[A-Z]\w+)`", section))
    assert named
    assert named <= {field.alias for field in Settings.model_fields.values()}
