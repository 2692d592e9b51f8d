"""What Prometheus reads of a run, and that nothing depends on it."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gaitway.contracts.history import Cost
from gaitway.contracts.metrics import SCRAPED_OF_GPUS, SCRAPED_OF_RUNS
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import Progress, RunSpec
from gaitway.contracts.workload import TrainingConfig
from gaitway.runner.reporting.gpus import Sample
from gaitway.runner.reporting.heartbeat import Activity
from gaitway.runner.reporting.prometheus import Offer, Place, Reading, RunReadings, gpu_readings

SPEC = RunSpec(
    run_id="run-1",
    training=TrainingConfig(task="Isaac-Ant-v0", rl_library="skrl"),
    compute=ComputeConfig(max_cost_usd=20),
    output_files=S3Uri("bucket", "output/"),
    inputs={},
)
OF_RUN = {"run": "run-1", "task": "Isaac-Ant-v0", "library": "skrl", "simulator": "isaaclab-2"}
SAMPLES = [Sample(0.0, 0, 80.0, 1024, 4096, 70.0), Sample(0.0, 1, None, 2048, 4096, None)]


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def run_readings(activity: Activity, cost: Cost | None = None, now: float = 1000.0) -> RunReadings:
    return RunReadings(SPEC, "isaaclab-2", 2, activity, lambda: cost, lambda: now)


def by_name(readings: Iterable[Reading]) -> dict[str, float]:
    return {reading.metric.name: reading.value for reading in readings}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def test_a_run_that_starts_has_an_attempt_a_limit_and_no_standstill() -> None:
    assert by_name(run_readings(Activity()).read()) == {"gaitway_attempts_total": 2.0, "gaitway_budget_usd": 20.0}


def test_a_run_that_trains_offers_everything_that_it_knows() -> None:
    clock = Clock()
    activity = Activity(clock)
    readings = run_readings(activity, Cost(usd=1.5, machine_seconds=60))
    readings.note_progress(Progress(done=3, total=9, steps_per_second=1000.0, mean_reward=-2.5))
    readings.note_checkpoint(940.0)
    activity.note_simulated()
    clock.seconds += 30.0

    values = by_name(readings.read())

    assert set(values) == {metric.name for metric in SCRAPED_OF_RUNS}
    assert values["gaitway_mean_reward"] == -2.5
    assert values["gaitway_steps_per_second"] == 1000.0
    assert (values["gaitway_progress_done"], values["gaitway_progress_goal"]) == (3.0, 9.0)
    assert values["gaitway_progress_timestamp_seconds"] == 970.0
    assert values["gaitway_checkpoint_timestamp_seconds"] == 940.0
    assert values["gaitway_cost_usd_total"] == 1.5


def test_prometheus_reads_each_metric_with_its_labels_and_its_kind() -> None:
    readings = run_readings(Activity(), Cost(usd=1.5, machine_seconds=60))
    readings.note_progress(Progress(done=3, total=9))
    with Offer(Place(port := free_port(), "127.0.0.1"), readings.read, gpu_readings("run-1", 1, lambda: SAMPLES)):
        families = {family.name: family for family in text_string_to_metric_families(scrape(port))}
    assert families["gaitway_cost_usd"].type == "counter"
    assert families["gaitway_progress_done"].type == "gauge"
    assert families["gaitway_progress_done"].samples[0].labels == OF_RUN
    assert "gaitway_mean_reward" not in families
    gpus = {
        (name, sample.labels["gpu"]): sample.value
        for name in (metric.name for metric in SCRAPED_OF_GPUS)
        for sample in families[name].samples
        if (sample.labels["run"], sample.labels["node"]) == ("run-1", "1")
    }
    assert gpus == {
        ("gaitway_gpu_utilization_ratio", "0"): 0.8,
        ("gaitway_gpu_memory_used_bytes", "0"): 1024**3,
        ("gaitway_gpu_memory_used_bytes", "1"): 2 * 1024**3,
        ("gaitway_gpu_memory_bytes", "0"): 4 * 1024**3,
        ("gaitway_gpu_memory_bytes", "1"): 4 * 1024**3,
    }


def test_a_port_is_free_again_when_the_run_ends() -> None:
    port = free_port()
    for _ in range(2):
        with Offer(Place(port, "127.0.0.1"), list):
            scrape(port)


def test_a_port_that_is_taken_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with Offer(Place(port, "127.0.0.1"), list):
            pass
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"no metrics for Prometheus at port {port}, the run goes on" in warning


def test_an_image_without_the_package_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with Offer(Place(free_port(), "127.0.0.1"), list):
        pass
    assert "the run goes on" in caplog.text


def test_without_a_port_nothing_is_imported_or_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with Offer(None, list):
        pass


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_names_and_texts_are_as_prometheus_wants_them() -> None:
    activity = Activity()
    activity.note_simulated()
    readings = run_readings(activity, Cost(usd=1.5, machine_seconds=60))
    readings.note_progress(Progress(done=3, total=9, steps_per_second=1.0, mean_reward=1.0))
    readings.note_checkpoint(940.0)
    with Offer(Place(port := free_port(), "127.0.0.1"), readings.read, gpu_readings("run-1", 0, lambda: SAMPLES)):
        text = scrape(port)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
