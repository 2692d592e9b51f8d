"""Upload of checkpoints to S3, with and without a check that they arrived."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from bench.context import Context
from bench.measurement import Measurement
from bench.statistics import Spread, interleaved, paired_ratios
from gaitway.contracts.model import S3Uri
from gaitway.outputs.upload import Uploader

TITLE = "Upload of checkpoints"


def measure(context: Context) -> Measurement:
    """Measure checkpoints of several sizes."""
    return Measurement(
        title=TITLE,
        method=(
            "A checkpoint of random bytes, new each time, to the S3 of the embedded AWS: through "
            "`gaitway/outputs/upload.py`, which asks whether the object is there already, computes SHA-256 while it "
            "reads, lets S3 check every part, and compares what S3 then states; and by boto3's plain `upload_file`, in "
            "turn. "
            "The embedded S3 is slower than the real one and shares the machine: only the ratio says something."
        ),
        columns=("size", "runner, MB/s", "boto3, MB/s", "runner / boto3", "pairs"),
        rows=tuple(_row(context, mib) for mib in context.size.checkpoint_mib),
    )


def _row(context: Context, mib: int) -> tuple[str, ...]:
    s3 = context.pipeline.s3
    destination = S3Uri(context.pipeline.bucket, "bench/")

    def verified(name: str, path: Path) -> None:
        Uploader(s3, destination, lambda: True).upload_once(name, path)

    def plain(name: str, path: Path) -> None:
        s3.upload_file(str(path), destination.bucket, (destination / name).key)

    ways: tuple[Callable[[str, Path], None], ...] = (verified, plain)
    speeds: dict[str, list[float]] = {way.__name__: [] for way in ways}
    path = context.new_directory("checkpoint")
    for number, way in enumerate(context.track(interleaved(ways, context.size.upload_rounds), f"Upload of {mib} MiB")):
        path.write_bytes(os.urandom(mib * 2**20))
        name = f"{mib}/{way.__name__}/model_{number}.pt"
        began = time.perf_counter()
        way(name, path)
        speeds[way.__name__].append(path.stat().st_size / 1e6 / (time.perf_counter() - began))
        s3.delete_object(Bucket=destination.bucket, Key=(destination / name).key)
    path.unlink()
    figures = [Spread.of(speeds[way.__name__]) for way in ways]
    ratio = Spread.of(paired_ratios(*speeds.values()))
    return (f"{mib} MiB", *(figure.written(".0f") for figure in figures), ratio.written(".2f"), str(ratio.count))
