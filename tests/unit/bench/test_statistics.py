"""Fair orders, and figures that one disturbed repetition does not spoil."""

import pytest

from bench.statistics import Spread, interleaved, paired_ratios


def test_what_drifts_evenly_falls_on_all_candidates_alike() -> None:
    order = interleaved(("A", "B", "C"), 4)

    places = {name: sum(place for place, one in enumerate(order) if one == name) for name in "ABC"}
    assert order[:6] == ["A", "B", "C", "C", "B", "A"]
    assert len(set(places.values())) == 1


def test_a_figure_is_written_with_its_spread() -> None:
    assert Spread.of([1.0, 0.98, 0.5]).written(".2f") == "0.98 (0.50 to 1.00)"


def test_ratios_are_of_neighbours() -> None:
    assert paired_ratios([1.0, 3.0], [2.0, 3.0]) == [0.5, 1.0]
    with pytest.raises(ValueError, match="zip"):
        paired_ratios([1.0], [1.0, 2.0])
