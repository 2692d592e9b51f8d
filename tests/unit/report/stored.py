"""Runs to write pages about: what real ones left, made shorter, with what only machines of an account tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import imageio.v3 as imageio
import numpy as np

from gaitway.contracts.artifacts import GPU_USAGE, METRICS, VIDEOS, ManifestEntry, Results, RunConfig
from gaitway.contracts.history import AttemptHistory, Cost, Machine, RunHistory
from gaitway.report import render
from gaitway.report.reported_run import ReportedRun
from gaitway.report.stored import read_run

RUNS = Path(__file__).parent / "runs"


class Run(NamedTuple):
    """What `render` takes."""

    results: Results
    config: RunConfig | None
    files: dict[str, Path]
    listed: Sequence[ManifestEntry]

    @classmethod
    def stored(cls, name: str) -> Run:
        subject = read_run(RUNS / name, [])
        listed = [
            ManifestEntry(path=path, size=file.stat().st_size, sha256="0" * 64) for path, file in subject.files.items()
        ]
        return cls(subject.results, subject.config, dict(subject.files), listed)

    @property
    def page(self) -> str:
        return render(*self)

    @property
    def subject(self) -> ReportedRun:
        return ReportedRun(*self)

    def with_metrics(self, path: Path, text: str) -> Run:
        """Give the run other metrics."""
        path.write_text(text)
        return self._replace(files=self.files | {METRICS: path})


def resumed_training(directory: Path) -> Run:
    """Return a training that was killed on a Spot instance after 40 iterations, and went on on another one."""
    run = Run.stored("train")
    began = run.results.started_at
    assert began is not None

    def at(seconds: float) -> dict[str, object]:
        return {"queued_at": began + timedelta(seconds=seconds), "began_at": began + timedelta(seconds=seconds + 240)}

    def moment(seconds: float) -> object:
        return began + timedelta(seconds=seconds)

    machine = Machine(instance_type="g6.2xlarge", purchase="spot", usd_per_hour=0.9776, price_as_of="2026-11-01")
    killed = {
        "number": 1,
        "machine": machine,
        **at(0),
        "image_pull_began_at": moment(60),
        "image_pull_ended_at": moment(235),
        "simulator_began_at": moment(245),
        "first_progress_at": moment(300),
        "last_seen_at": moment(900),
        "cost": Cost(usd=0.22, machine_seconds=840),
    }
    second = killed | {
        "number": 2,
        **at(900),
        "image_pull_began_at": moment(960),
        "image_pull_ended_at": moment(1130),
        "resumed_from": 40,
        "first_progress_at": moment(1200),
        "simulator_ended_at": moment(2000),
        "uploaded_at": moment(2040),
        "last_seen_at": moment(2042),
        "outcome": "succeeded",
        "cost": Cost(usd=0.3, machine_seconds=1082),
    }
    history = RunHistory(
        accepted_at=began, attempts=[AttemptHistory.model_validate(fields) for fields in (killed, second)]
    )
    results = run.results.model_copy(
        update={
            "history": history,
            "attempts": 2,
            "ended_at": moment(2043),
            "cost": Cost(usd=0.52, machine_seconds=1922),
        }
    )
    usage = directory / GPU_USAGE
    header = "time,node,gpu,utilization_percent,memory_used_mib,memory_total_mib,power_watts"
    rows = [
        f"{1.79e9 + 10 * sample},0,{gpu},{55 + 35 * math.sin(sample / 9 + gpu):.0f},{9000 + 700 * gpu},23034,70.5"
        for sample in range(120)
        for gpu in range(2)
    ]
    usage.write_text("\n".join([header, *rows]))
    return run._replace(results=results, files=run.files | {GPU_USAGE: usage})


def evaluation(directory: Path) -> Run:
    """Return an evaluation with a video of a second."""
    run = Run.stored("evaluate")
    video = directory / "cartpole.mp4"
    frames = np.zeros((30, 120, 160, 3), dtype=np.uint8)
    for index, frame in enumerate(frames):
        frame[40:80, 4 * index : 4 * index + 30] = 200
    imageio.imwrite(video, frames, plugin="pyav", codec="h264", fps=30)
    return run._replace(files=run.files | {f"{VIDEOS}cartpole.mp4": video})
