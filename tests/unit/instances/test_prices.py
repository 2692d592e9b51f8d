"""What an instance costs is known of every type that a deployment may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitway.instances.prices import (
    AS_OF,
    LIST_PRICES,
    LOCAL,
    ML,
    SAGEMAKER_AS_OF,
    SAGEMAKER_PRICES,
    SAGEMAKER_SOURCE,
    SOURCE,
    Price,
    price_of,
)
from gaitway.instances.types import INSTANCE_SIZES

DOC = Path(__file__).parents[3] / "docs" / "costs.md"


def test_every_instance_type_has_a_list_price() -> None:
    assert LIST_PRICES.keys() == INSTANCE_SIZES.keys()
    assert price_of("g6.2xlarge", {}) == Price(0.9776, AS_OF)


def test_every_instance_type_has_a_list_price_of_sagemaker_which_is_about_a_quarter_more() -> None:
    for name in INSTANCE_SIZES:
        assert SAGEMAKER_PRICES[f"{ML}{name}"] == pytest.approx(1.25 * LIST_PRICES[name], rel=0.002)
    assert price_of("ml.g6.2xlarge", {}) == Price(1.222, SAGEMAKER_AS_OF)
    assert price_of("ml.p5.48xlarge", {}) == Price(63.296, SAGEMAKER_AS_OF)
    assert price_of("ml.p6.other", {}) is None


def test_more_of_the_same_costs_more() -> None:
    for name, size in INSTANCE_SIZES.items():
        family = name.partition(".")[0]
        smaller = [
            other
            for other, other_size in INSTANCE_SIZES.items()
            if other.startswith(f"{family}.") and other_size.gpus == size.gpus and other_size.vcpus < size.vcpus
        ]
        assert all(LIST_PRICES[other] < LIST_PRICES[name] for other in smaller)


def test_a_setting_comes_before_the_list() -> None:
    assert price_of("g6.2xlarge", {"g6.2xlarge": 0.5}) == Price(0.5, "setting")
    assert price_of("p6.other", {"p6.other": 7.0}) == Price(7.0, "setting")


def test_a_developers_machine_costs_nothing_unless_a_setting_says_so() -> None:
    assert price_of(LOCAL, {}) == Price(0.0, None)
    assert price_of(LOCAL, {LOCAL: 3.6}) == Price(3.6, "setting")


def test_what_nobody_knows_has_no_price() -> None:
    assert price_of("p6.other", {}) is None


def test_the_documentation_has_the_prices_their_date_and_their_source() -> None:
    text = DOC.read_text(encoding="utf-8")
    heading, _, *rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    families = [name.strip("| ") for name in heading]
    told = {
        f"{family}.{size}": float(price)
        for size, *prices in rows
        for family, price in zip(families, prices, strict=True)
        if price != "-"
    }
    assert told == LIST_PRICES | SAGEMAKER_PRICES
    for word in (AS_OF, SOURCE, SAGEMAKER_AS_OF, SAGEMAKER_SOURCE):
        assert word in text
