"""What a run is said to cost."""

import pytest

from bench.load.__main__ import GOAL_USD, add_hours
from bench.load.prices import Use, read_units, write_units

USE = Use(
    state_transitions=9,
    lambda_invocations=5,
    lambda_gb_seconds=0.1,
    write_units=40,
    read_units=14,
    s3_writes=11,
    s3_reads=21,
    log_bytes=5_000,
)


def test_items_are_billed_by_kilobytes_and_twice_in_transactions() -> None:
    assert [write_units(size) for size in (1, 1_024, 1_025)] == [1, 1, 2]
    assert write_units(1_025, transaction=True) == 4
    assert [read_units(size) for size in (0, 4_096, 4_097)] == [1, 1, 2]


def test_each_service_is_billed_for_what_it_does() -> None:
    costs = USE.costs()
    assert costs["Step Functions"] == pytest.approx(0.000225)
    assert costs["Lambda"] == pytest.approx(5 * 0.0000002 + 0.1 * 0.0000166667)
    assert costs["DynamoDB"] == pytest.approx(40 * 0.625e-6 + 14 * 0.125e-6)
    assert costs["S3 requests"] == pytest.approx(11 * 5e-6 + 21 * 4e-7)
    assert costs["CloudWatch Logs"] == pytest.approx(2.5e-6)


def test_a_day_of_work_costs_the_pipeline_less_than_it_may() -> None:
    long = add_hours(USE, record_bytes=2_000)
    assert sum(USE.costs().values()) < sum(long.costs().values()) <= GOAL_USD
