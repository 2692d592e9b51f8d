"""What the GPUs of this node are doing, through NVML: a row for each of them every few seconds.

`python -m container.runner.gpus --seconds 30` prints the rows of this machine.
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
"""A driver that hangs must not keep the run from ending."""


@dataclass(frozen=True)
class Sample:
    """One GPU at one moment; None is what its driver does not tell."""

    time: float
    """Seconds since 1970."""
    gpu: int
    """NVML's index: from 0 on each node."""
    utilization_percent: float | None
    """Share of the last moments in which the GPU had work."""
    memory_used_mib: float
    memory_total_mib: float
    power_watts: float | None

    def row(self, node: int) -> list[object]:
        """Write it as a row of the file; what is not known is empty."""
        values = (
            self.utilization_percent,
            round(self.memory_used_mib),
            round(self.memory_total_mib),
            None if self.power_watts is None else round(self.power_watts, 1),
        )
        return [f"{self.time:.1f}", node, self.gpu, *("" if value is None else value for value in values)]


@dataclass(frozen=True)
class Load:
    """The mean of some samples; None is what no driver told."""

    utilization_percent: float | None
    memory_percent: float | None


def usage_file(directory: Path, node: int) -> Path:
    """Say where a node writes: the leading one (0) into the run's own file, the others each into one beside it."""
    return directory / (GPU_USAGE if node == 0 else _NODE_FILES.replace("*", str(node)))


def merge_usage(directory: Path) -> None:
    """Put what the nodes have written into the run's own file, by time; doing it again changes nothing.

    What cannot be read or written stays as it is.

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
    """Appends samples to a file, from a thread of its own, while it is entered.

    Without NVML, or when it fails, nothing is written; no run ever waits for it, or fails by it.

    Args:
        path: The file.
        node: Index of this node.
        interval_seconds: Between two samples.
    """

    def __init__(self, path: Path, node: int, interval_seconds: float = SAMPLE_SECONDS) -> None:
        self._path = path
        self._node = node
        self._interval_seconds = interval_seconds
        self._lock = threading.Lock()
        self._untaken: list[Sample] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_closed, name="gpus", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join(_CLOSE_SECONDS)

    def take_load(self) -> Load | None:
        """Return the mean since the last time; None where nothing was measured."""
        with self._lock:
            samples, self._untaken = self._untaken, []
        return load_of(samples)

    def _sample_until_closed(self) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception as error:
            logger.info("no samples of GPUs: %s", error)
            return
        try:
            self._write(pynvml)
        except Exception as error:
            logger.warning("no more samples of GPUs: %s", error)

    def _write(self, nvml: Any) -> None:  # noqa: ANN401 - the library has no types
        gpus = _visible(nvml, os.environ)
        with self._path.open("a", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                table.writerow(COLUMNS)
            else:
                # On a line of its own, whatever a killed attempt left before it.
                file.write("\n")
            while True:
                samples = [_sample(nvml, index, handle) for index, handle in gpus]
                table.writerows(sample.row(self._node) for sample in samples)
                file.flush()
                with self._lock:
                    self._untaken += samples
                if self._closed.wait(self._interval_seconds):
                    return


def load_of(samples: Sequence[Sample]) -> Load | None:
    """Average samples; None where there are none."""
    if not samples:
        return None
    utilizations = [sample.utilization_percent for sample in samples if sample.utilization_percent is not None]
    total = sum(sample.memory_total_mib for sample in samples)
    return Load(
        utilization_percent=sum(utilizations) / len(utilizations) if utilizations else None,
        memory_percent=100 * sum(sample.memory_used_mib for sample in samples) / total if total else None,
    )


def chosen(uuids: Sequence[str], variables: Mapping[str, str]) -> list[int]:
    """Say which GPUs a simulator sees: those that CUDA_VISIBLE_DEVICES names, by index or id, or all.

    docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables

    Args:
        uuids: Of the GPUs that the container has, by index.
        variables: The environment.
    """
    text = variables.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return list(range(len(uuids)))
    found = []
    for name in (part.strip() for part in text.split(",")):
        matches = [index for index, uuid in enumerate(uuids) if name == str(index) or (name and uuid.startswith(name))]
        if len(matches) != 1:
            # CUDA sees those before the first one that it does not know.
            break
        found += matches
    return found


def _visible(nvml: Any, variables: Mapping[str, str]) -> list[tuple[int, Any]]:  # noqa: ANN401 - see above
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    uuids = [str(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    return [(index, handles[index]) for index in chosen(uuids, variables)]


def _sample(nvml: Any, index: int, handle: Any) -> Sample:  # noqa: ANN401 - see above
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    # A GPU that is divided (MIG) tells neither of the two.
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
        Exit code: 1 where there were none.
    """
    parser = argparse.ArgumentParser(prog="python -m container.runner.gpus", description=main.__doc__)
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
