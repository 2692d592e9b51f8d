"""What is published of a run, and that nothing depends on it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gaitway.aws.metrics import Metrics
from gaitway.contracts.history import Cost
from gaitway.contracts.run import Progress
from gaitway.runner.reporting.cloudwatch import PublishedMetrics
from gaitway.runner.reporting.gpus import Load

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class CloudWatch:
    """Keeps what is published, or fails."""

    def __init__(self) -> None:
        self.requests: list[dict[str, float]] = []
        self.is_broken = False

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        if self.is_broken:
            raise OSError("nobody there")
        assert Namespace == "Gaitway"
        for data in MetricData:
            assert data.get("Dimensions", []) in ([], [{"Name": "RunId", "Value": "run-1"}])
        self.requests.append({data["MetricName"]: data["Value"] for data in MetricData})


class Run:
    """A run that costs one USD at each look."""

    def __init__(self) -> None:
        self.usd = 0.0
        self.cloudwatch = CloudWatch()
        self.load: Load | None = None
        metrics = Metrics(self.cloudwatch, "Gaitway")  # type: ignore[arg-type]
        self.metrics = PublishedMetrics("run-1", metrics, self.cost, lambda: self.load, lambda: NOW)

    def cost(self) -> Cost:
        self.usd += 1.0
        return Cost(usd=self.usd, machine_seconds=1)


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_training_tells_its_speed_its_reward_its_gpus_and_what_it_has_cost_since(run: Run) -> None:
    run.load = Load(utilization_percent=90.0, memory_percent=40.0)
    run.metrics.note_first_iteration(NOW - timedelta(seconds=90))
    run.metrics.note_progress(Progress(done=1, total=9, steps_per_second=1000.0, mean_reward=2.5))
    run.metrics.look()
    run.metrics.send()
    # A run without progress has no speed.
    run.load = None
    run.metrics.look()
    run.metrics.send()
    assert run.cloudwatch.requests == [
        {
            "TimeToFirstIteration": 90.0,
            "StepsPerSecond": 1000.0,
            "MeanReward": 2.5,
            "GpuUtilization": 90.0,
            "GpuMemoryUtilization": 40.0,
            "CostUsd": 1.0,
        },
        {"CostUsd": 1.0},
    ]


def test_numbers_that_are_none_are_left_out(run: Run) -> None:
    run.metrics.note_progress(Progress(done=1, total=9, steps_per_second=math.inf, mean_reward=math.nan))
    run.metrics.look()
    run.metrics.send()
    assert run.cloudwatch.requests == [{"CostUsd": 1.0}]


def test_the_end_of_a_run_sends_what_is_left(run: Run) -> None:
    with run.metrics:
        run.metrics.note_progress(Progress(done=3, total=50))
    assert run.cloudwatch.requests == [{"CostUsd": 1.0}]


def test_a_failure_is_logged_and_no_more(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.cloudwatch.is_broken = True
    with run.metrics:
        pass
    assert "metrics could not be published: nobody there" in caplog.text
