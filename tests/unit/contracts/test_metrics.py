"""The names under which Prometheus finds metrics."""

from gaitway.contracts.metrics import (
    GPU_UTILIZATION,
    SCRAPED_ATTEMPTS,
    SCRAPED_COST,
    SCRAPED_GPU_MEMORY_USED,
    SCRAPED_GPU_UTILIZATION,
    SCRAPED_OF_GPUS,
    SCRAPED_OF_RUNS,
    SCRAPED_PROGRESS_AT,
    SCRAPED_STEPS_PER_SECOND,
)


def test_names_end_with_their_unit_and_counters_with_total() -> None:
    assert SCRAPED_STEPS_PER_SECOND.name == "gaitway_steps_per_second"
    assert SCRAPED_PROGRESS_AT.name == "gaitway_progress_timestamp_seconds"
    assert SCRAPED_GPU_MEMORY_USED.name == "gaitway_gpu_memory_used_bytes"
    assert SCRAPED_ATTEMPTS.name == "gaitway_attempts_total"
    assert SCRAPED_COST.name == "gaitway_cost_usd_total"


def test_percent_becomes_a_ratio() -> None:
    assert GPU_UTILIZATION.unit == "Percent"
    assert SCRAPED_GPU_UTILIZATION.name == "gaitway_gpu_utilization_ratio"
    assert SCRAPED_GPU_UTILIZATION.value(80.0) == 0.8


def test_no_two_have_one_name() -> None:
    names = [metric.name for metric in (*SCRAPED_OF_RUNS, *SCRAPED_OF_GPUS)]
    assert len(set(names)) == len(names)
