"""What a run's follower reads, on a terminal and in a log file."""

import io
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from gaitway.cli.watch import RunFailedError, describe_progress, describe_run, describe_state, watch
from gaitway.client.runs import CallerView, StartedRun
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, Machine
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import Progress, RunRecord, RunSpec, RunState
from gaitway.contracts.workload import TrainingConfig

RUN = StartedRun("run-1", "arn:aws:states:us-east-1:000000000000:execution:x:y", S3Uri("bucket", "runs/"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(**fields: object) -> RunRecord:
    standing = {"run_id": "run-1", "state": RunState.RUNNING, "created_at": NOW, "updated_at": NOW}
    return RunRecord.model_validate(standing | fields)


class ScriptedRuns:
    """A deployment that goes through these views and records, one per look."""

    def __init__(self, *looks: tuple[CallerView, RunRecord | None]) -> None:
        self._looks = iter(looks)

    def caller_view(self, run: StartedRun) -> CallerView:
        view, self._record = next(self._looks)
        return view

    def record(self, run_id: str) -> RunRecord | None:
        return self._record


SPEC = RunSpec(
    run_id="run-1",
    training=TrainingConfig(),
    compute=ComputeConfig(max_cost_usd=5.0),
    output_files=S3Uri("bucket", "runs/"),
)
GOING = CallerView(ended=False, failure=None)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gaitway.cli.watch.POLL_SECONDS", 0.0)


def follow(*looks: tuple[CallerView, RunRecord | None]) -> str:
    output = io.StringIO()
    runs: Any = ScriptedRuns(*looks)
    watch(runs, RUN, "Training", Console(file=output, width=200))
    return output.getvalue()


def test_figures_stand_in_one_line() -> None:
    progress = Progress(done=55, total=80, steps_per_second=62_426.0, mean_reward=278.47, eta_seconds=2.2)
    assert describe_progress(progress) == "55/80 · 62.4k steps/s · reward 278.5 · 2 s left"


def test_what_is_not_known_yet_is_left_out() -> None:
    assert describe_progress(Progress(done=1, total=80)) == "1/80"
    assert describe_progress(Progress(done=80, total=80, eta_seconds=0.0)) == "80/80"


def test_what_a_run_costs_where_it_runs_and_how_often_stand_behind_its_progress() -> None:
    machine = Machine(instance_type="g6.2xlarge", purchase="spot", nodes=2, usd_per_hour=0.9776)
    cost = Cost(usd=1.2345, machine_seconds=4546)
    running = record(progress=Progress(done=1, total=80), machine=machine, cost=cost, attempts=2)
    assert describe_run(running) == "1/80 · 1.23 USD · attempt 2 · 2 x g6.2xlarge (Spot)"
    limited = running.model_copy(update={"spec": SPEC, "attempts": 1})
    assert describe_run(limited) == "1/80 · 1.23 of 5.00 USD · 2 x g6.2xlarge (Spot)"


def test_a_developers_machine_that_costs_nothing_goes_without_saying() -> None:
    here = {"machine": Machine(instance_type="local"), "cost": Cost(usd=0.0, machine_seconds=60)}
    assert describe_run(record(**here)) == ""
    assert describe_run(record(**here, spec=SPEC)) == "0.00 of 5.00 USD"


def test_a_running_run_is_described_by_its_phase_any_other_by_its_state() -> None:
    assert describe_state(record(phase="upload")) == "upload"
    assert describe_state(record(phase="report", state=RunState.SUCCEEDED)) == "succeeded"
    assert describe_state(record(state=RunState.QUEUED)) == "queued"


def test_a_log_file_gets_a_line_per_change_of_state_and_not_per_iteration() -> None:
    iterations = [(GOING, record(phase="simulate", progress=Progress(done=n, total=80))) for n in range(1, 50)]
    ended = (CallerView(ended=True, failure=None), record(state=RunState.SUCCEEDED))

    lines = follow((GOING, None), (GOING, record(state=RunState.QUEUED)), *iterations, ended).splitlines()

    assert lines == ["Training: queued", "Training: simulate · 1/80", "Training: succeeded"]


def test_progress_is_shown_now_and_then_within_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gaitway.cli.watch.time.monotonic", itertools.count(step=10).__next__)
    looks = [(GOING, record(phase="simulate", progress=Progress(done=n, total=80))) for n in (1, 2)]

    lines = follow(*looks, (CallerView(ended=True, failure=None), record(state=RunState.SUCCEEDED))).splitlines()

    assert lines[:2] == ["Training: simulate · 1/80", "Training: simulate · 2/80"]


def test_a_failure_is_raised_in_the_words_that_the_caller_was_told() -> None:
    failure = Failure.reported("SimulationError", "out of memory: use fewer environments")
    with pytest.raises(RunFailedError, match="SimulationError: out of memory: use fewer environments"):
        follow((CallerView(ended=True, failure=failure), record(state=RunState.FAILED)))


def test_an_end_without_a_record_is_an_error() -> None:
    with pytest.raises(RunFailedError, match="no record of run-1"):
        follow((CallerView(ended=True, failure=None), None))
