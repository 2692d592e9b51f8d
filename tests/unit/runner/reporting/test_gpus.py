"""What GPUs do is written down where there are any, and no run waits for it."""

# ruff: noqa: N802 - the driver's functions are called as NVML calls them

from __future__ import annotations

import csv
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gaitway.runner.reporting.gpus import (
    COLUMNS,
    GpuSampler,
    Load,
    Sample,
    chosen,
    load_of,
    main,
    merge_usage,
    usage_file,
)

HEADING = ",".join(COLUMNS)
UUIDS = ["GPU-aa1", "GPU-ab2", "GPU-c3"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_machine_without_nvidias_driver_has_no_samples(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with GpuSampler(tmp_path / "gpu-usage.csv", 0) as sampler:
        pass
    assert sampler.take_load() is None
    assert not (tmp_path / "gpu-usage.csv").exists()
    assert [record.getMessage() for record in caplog.records if "no samples of GPUs" in record.getMessage()]


def test_the_command_says_so_too(tmp_path: Path) -> None:
    assert main(["--seconds", "0", "--out", str(tmp_path / "usage.csv")]) == 1


class Driver:
    """NVML, as far as it is used, of a machine with two GPUs, of which one is divided."""

    class NVMLError(Exception):
        """As the library's."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.failed = threading.Semaphore(0)
        self.is_broken = False

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return UUIDS[handle]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        if self.is_broken:
            self.failed.release()
            raise self.NVMLError("GPU is lost")
        self.asked.release()
        return SimpleNamespace(used=(handle + 1) * 1024**3, total=4 * 1024**3)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        if handle == 1:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=80)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        if handle == 1:
            raise self.NVMLError("Not Supported")
        return 70_250


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setitem(__import__("sys").modules, "pynvml", driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return driver


def test_each_gpu_has_a_row_at_each_moment_over_all_attempts(tmp_path: Path, driver: Driver) -> None:
    path = usage_file(tmp_path, 0)
    for _ in range(2):
        with GpuSampler(path, 0, interval_seconds=0.01) as sampler:
            for _ in range(4):
                assert driver.asked.acquire(timeout=5)
    found = rows(path)
    assert len(found) >= 8
    assert {tuple(row.values())[1:] for row in found} == {
        ("0", "0", "80.0", "1024", "4096", "70.2"),
        ("0", "1", "", "2048", "4096", ""),
    }
    assert sampler.take_load() == Load(utilization_percent=80.0, memory_percent=37.5)
    assert sampler.take_load() is None


def test_a_gpu_that_is_lost_has_no_samples_until_it_is_back(
    tmp_path: Path, driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    driver.is_broken = True
    with GpuSampler(tmp_path / "usage.csv", 0, interval_seconds=0.01):
        assert driver.failed.acquire(timeout=5)
        assert driver.failed.acquire(timeout=5)
        driver.is_broken = False
        assert driver.asked.acquire(timeout=5)
    assert len(caplog.records) == 1
    assert rows(tmp_path / "usage.csv")


def test_a_simulator_sees_what_cuda_lets_it_see() -> None:
    assert chosen(UUIDS, {}) == [0, 1, 2]
    assert chosen(UUIDS, {"CUDA_VISIBLE_DEVICES": "2,0"}) == [2, 0]
    assert chosen(UUIDS, {"CUDA_VISIBLE_DEVICES": "GPU-ab, GPU-c3"}) == [1, 2]
    assert chosen(UUIDS, {"CUDA_VISIBLE_DEVICES": "1,7,0"}) == [1]
    assert chosen(UUIDS, {"CUDA_VISIBLE_DEVICES": "GPU-a"}) == []
    assert chosen(UUIDS, {"CUDA_VISIBLE_DEVICES": ""}) == []


def test_the_rows_of_all_nodes_come_together_once(tmp_path: Path) -> None:
    (tmp_path / "gpu-usage.csv").write_text(f"{HEADING}\n10.0,0,0,5,1,2,3\n30.0,0,0,5,1,2,3\n40.0,0,0,5")
    (tmp_path / "gpu-usage-node-1.csv").write_text(f"{HEADING}\n20.0,1,0,,1,2,\n\n9.0,1,0,5,1,2,3\n")
    for _ in range(2):
        merge_usage(tmp_path)
        assert [(row["time"], row["node"]) for row in rows(tmp_path / "gpu-usage.csv")] == [
            ("9.0", "1"),
            ("10.0", "0"),
            ("20.0", "1"),
            ("30.0", "0"),
        ]
    assert usage_file(tmp_path, 1).name == "gpu-usage-node-1.csv"


def test_one_node_has_nothing_to_merge(tmp_path: Path) -> None:
    merge_usage(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_mean_is_of_what_is_known() -> None:
    samples = [Sample(0, 0, 50.0, 1, 4, None), Sample(0, 1, None, 3, 4, None)]
    assert load_of(samples) == Load(utilization_percent=50.0, memory_percent=50.0)
    assert load_of([]) is None
