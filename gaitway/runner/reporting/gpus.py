"""The load of this node's GPUs, read through NVML: a row for each GPU every few seconds.

`python -m gaitway.runner.reporting.gpus --seconds 30` prints the rows of this machine.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gaitway.contracts.artifacts import GPU_USAGE
from gaitway.runner.background import Background

logger = logging.getLogger(__name__)

SAMPLE_SECONDS = 10.0
COLUMNS = (
    "time",
    "node",
    "gpu",
    "utilization_percent",
    "memory_used_mib",
    "memory_total_mib",
    "power_watts",
)
_NODE_FILES = "gpu-usage-node-*.csv"
_MIB = 1024**2
_CLOSE_SECONDS = 2.0
"""A driver that hangs must not stop the run from ending."""


@dataclass(frozen=True)
class Sample:
    """One GPU at one moment; None for what its driver does not report."""

    time: float
    """Seconds since 1970."""
    gpu: int
    """NVML's index: from 0 on each node."""
    utilization_percent: float | None
    """Share of the most recent time in which the GPU had work."""
    memory_used_mib: float
    memory_total_mib: float
    power_watts: float | None

    def row(self, node: int) -> list[object]:
        """Return it as a row of the file; unknown values are empty."""
        values = (
            self.utilization_percent,
            round(self.memory_used_mib),
            round(self.memory_total_mib),
            None if self.power_watts is None else round(self.power_watts, 1),
        )
        return [f"{self.time:.1f}", node, self.gpu, *("" if value is None else value for value in values)]


@dataclass(frozen=True)
class Load:
    """The mean of some samples; None for what no driver reported."""

    utilization_percent: float | None
    memory_percent: float | None


def usage_file(directory: Path, node: int) -> Path:
    """Return a node's file: the leading one (0) has the run's own file, each other node one beside it."""
    return directory / (GPU_USAGE if node == 0 else _NODE_FILES.replace("*", str(node)))


def merge_usage(directory: Path) -> None:
    """Merge the nodes' files into the run's own file, by time; repeating it changes nothing.

    A file that cannot be read or written stays as it is.

    Args:
        directory: The run's directory.
    """
    try:
        others = sorted(directory.glob(_NODE_FILES))
        if others:
            _merge(directory, others)
    except (OSError, csv.Error) as error:
        logger.warning("samples of the other nodes' GPUs are left out: %s", error)


def _merge(directory: Path, others: Sequence[Path]) -> None:
    merged = directory / GPU_USAGE
    rows: set[tuple[str, ...]] = {row for path in (merged, *others) if path.is_file() for row in _rows(path)}
    by_time = sorted(rows, key=lambda row: (float(row[0]), row[1:3]))
    draft = merged.with_name(f".{merged.name}.draft")
    with draft.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(by_time)
    draft.replace(merged)


def _rows(path: Path) -> Iterator[tuple[str, ...]]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.reader(file):
            # A killed attempt may leave half a row.
            if len(row) == len(COLUMNS) and row[0].replace(".", "", 1).isdigit():
                yield tuple(row)


class GpuSampler:
    """Appends samples to a file, from its own thread, while it is entered.

    Without NVML, or while it fails, nothing is written. No run waits for it or fails because of it.

    Args:
        path: The file.
        node: Index of this node.
        interval_seconds: Time between two samples.
    """

    def __init__(self, path: Path, node: int, interval_seconds: float = SAMPLE_SECONDS) -> None:
        self._path = path
        self._node = node
        self._lock = threading.Lock()
        self._untaken: list[Sample] = []
        self._latest: Sequence[Sample] = ()
        self._driver: _Driver | None = None
        self._ends_with_a_line = False
        self._background = Background("gpus", self._take_samples, interval_seconds, begins_at_once=True)

    def __enter__(self) -> Self:
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._background.close(_CLOSE_SECONDS)

    def latest(self) -> Sequence[Sample]:
        """Return the latest sample of each GPU; none before the first, or without GPUs."""
        return self._latest

    def take_load(self) -> Load | None:
        """Return the mean since the last call; None if nothing was measured."""
        with self._lock:
            samples, self._untaken = self._untaken, []
        return load_of(samples)

    def _take_samples(self) -> None:
        if self._driver is None:
            try:
                self._driver = _Driver()
            except Exception as error:
                logger.info("no samples of GPUs: %s", error)
                self._background.end()
                return
        samples = self._latest = self._driver.samples()
        self._write(samples)
        with self._lock:
            self._untaken += samples

    def _write(self, samples: Sequence[Sample]) -> None:
        with self._path.open("a", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                table.writerow(COLUMNS)
            elif not self._ends_with_a_line:
                # On a new line, even if a killed attempt or a full disk left half a row before it.
                file.write("\n")
            self._ends_with_a_line = False
            table.writerows(sample.row(self._node) for sample in samples)
        self._ends_with_a_line = True


def load_of(samples: Sequence[Sample]) -> Load | None:
    """Average samples; None if there are none."""
    if not samples:
        return None
    utilizations = [sample.utilization_percent for sample in samples if sample.utilization_percent is not None]
    total = sum(sample.memory_total_mib for sample in samples)
    return Load(
        utilization_percent=sum(utilizations) / len(utilizations) if utilizations else None,
        memory_percent=100 * sum(sample.memory_used_mib for sample in samples) / total if total else None,
    )


def chosen(uuids: Sequence[str], variables: Mapping[str, str]) -> list[int]:
    """Return the GPUs that a simulator can use: those that CUDA_VISIBLE_DEVICES names, by index or id, or all.

    docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables

    Args:
        uuids: Ids of the container's GPUs, by index.
        variables: The environment.
    """
    text = variables.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return list(range(len(uuids)))
    found = []
    for name in (part.strip() for part in text.split(",")):
        matches = [index for index, uuid in enumerate(uuids) if name == str(index) or (name and uuid.startswith(name))]
        if len(matches) != 1:
            # CUDA uses those before the first one that it does not know.
            break
        found += matches
    return found


class _Driver:
    """NVML, and the GPUs that the simulator can use.

    Raises:
        Exception: There is no driver.
    """

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml: Any = pynvml  # the library has no types
        self._gpus: list[tuple[int, Any]] | None = None

    def samples(self) -> list[Sample]:
        """Take a sample of each GPU."""
        if self._gpus is None:
            self._gpus = _visible(self._nvml, os.environ)
        return [_sample(self._nvml, index, handle) for index, handle in self._gpus]


def _visible(nvml: Any, variables: Mapping[str, str]) -> list[tuple[int, Any]]:  # noqa: ANN401 - see above
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    uuids = [str(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    return [(index, handles[index]) for index in chosen(uuids, variables)]


def _sample(nvml: Any, index: int, handle: Any) -> Sample:  # noqa: ANN401 - see above
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    # A GPU that is divided (MIG) reports neither of the two.
    try:
        utilization = float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:
        utilization = None
    try:
        power = nvml.nvmlDeviceGetPowerUsage(handle) / 1000
    except nvml.NVMLError:
        power = None
    return Sample(time.time(), index, utilization, memory.used / _MIB, memory.total / _MIB, power)


def main(arguments: Sequence[str] | None = None) -> int:
    """Sample the GPUs of this machine for a while, and print the rows.

    Returns:
        Exit code: 1 if there were none.
    """
    parser = argparse.ArgumentParser(prog="python -m gaitway.runner.reporting.gpus", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two samples")
    parser.add_argument("--out", type=Path, default=Path(GPU_USAGE))
    asked = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    with GpuSampler(asked.out, 0, asked.interval) as sampler:
        time.sleep(asked.seconds)
    load = sampler.take_load()
    if load is None:
        return 1
    sys.stdout.write(f"{asked.out.read_text(encoding='utf-8')}{load}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
