"""`gaitway tensorboard`: the curves of runs, in TensorBoard."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaitway.cli.exits import UsageProblemError
from gaitway.cli.outputs import fetch
from gaitway.cli.show import SHORT_ID, console
from gaitway.cli.target import DeploymentOption, LocalOption, ProfileOption, RegionOption, Target, choose
from gaitway.client.files import NoResultsError
from gaitway.contracts.artifacts import EVENTS, METRICS, run_directory
from gaitway.contracts.simulation import LOGS_DIRECTORY
from gaitway.installation import require_extra
from gaitway.local.launcher import LocalSession, default_state_directory, interrupted_by_any_signal
from gaitway.local.runtime import HOST
from gaitway.workloads import Rows, workload_of

if TYPE_CHECKING:
    from gaitway.contracts.run import RunRecord

_STEP, _WALL_TIME = "step", "wall_time"
"""Columns of metrics.csv that are not scalars."""


def tensorboard(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Ids of runs, or how they begin, with or without run-.")
    ],
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 is any that is free.")] = 0,
    logdir: Annotated[
        Path | None, typer.Option("--logdir", metavar="DIR", help="Keep the event files there; otherwise they go.")
    ] = None,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Show the curves of trainings in TensorBoard, until Ctrl-C; on the embedded AWS also while they train."""
    require_extra("tensorboard", "gaitway tensorboard", "tensorboard")
    target = choose(local, profile, region, deployment)
    records = [target.runs.find(run).record for run in runs]
    with interrupted_by_any_signal(), _directory(logdir) as directory:
        for record in records:
            with console(stderr=True).status(f"Fetching {record.run_id}"):
                _add(record, target, directory)
        address = _start(directory, port)
        shown = records[0].run_id if len(records) == 1 else f"{len(records)} runs"
        console().print(f"TensorBoard shows {shown} at {address} (Ctrl-C ends it)", soft_wrap=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


@contextlib.contextmanager
def _directory(logdir: Path | None) -> Iterator[Path]:
    if logdir is not None:
        yield logdir
        return
    with tempfile.TemporaryDirectory(prefix="gaitway-tensorboard-") as directory:
        yield Path(directory)


def _add(record: RunRecord, target: Target, directory: Path) -> None:
    """Put a run's event files into its own directory, in which TensorBoard looks for changes every few seconds."""
    workload = workload_of(record.mode) if record.mode is not None else None
    if workload is not None and workload.rows is not Rows.ITERATIONS:
        raise NoResultsError(
            f"{record.run_id} has no curves, since its mode is {record.mode}: name the run that trained its policy; "
            f"`{target.command(f'results {record.run_id}')}` fetches what it measured"
        )
    place = directory / name_of(record)
    _remove(place)
    directory.mkdir(parents=True, exist_ok=True)
    if not record.state.ended:
        place.symlink_to(_live_events(record, target), target_is_directory=True)
        return
    with tempfile.TemporaryDirectory() as fetched:
        fetch(record, target, Path(fetched), wanted=_tells_curves)
        events, metrics = Path(fetched, EVENTS), Path(fetched, METRICS)
        if metrics.is_file():
            write_events(metrics, place)
        elif events.is_dir():
            shutil.move(events, place)
        else:
            raise NoResultsError(
                f"{record.run_id} ended before its first iteration, and has no curves: "
                f"`{target.command(f'show {record.run_id}')}` says why"
            )


def name_of(record: RunRecord) -> str:
    """Name a run in TensorBoard and as a directory: as its user does, and so that two of one name differ."""
    short = record.run_id[:SHORT_ID]
    named = re.sub(r"[^A-Za-z0-9_.]+", "-", record.name or "").strip("-")
    return f"{named}-{short}" if named else short


def _remove(place: Path) -> None:
    """Remove the files of an earlier call: their curves would be drawn twice."""
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)


def _tells_curves(name: str) -> bool:
    return name == METRICS or name.startswith(EVENTS)


def _live_events(record: RunRecord, target: Target) -> Path:
    """Find the directory of an active run's event files."""
    if not isinstance(target.session, LocalSession):
        raise NoResultsError(
            f"{record.run_id} is {record.state}, and what it logs is on the account's file system, which this machine "
            f"does not reach, until it ends: `{target.command(f'watch {record.run_id}')}` shows how far it is"
        )
    # An access point each, below a directory for each file system.
    roots = (default_state_directory() / "efs").glob("*/*")
    directory = next((path for root in roots if (path := run_directory(root, record.run_id)).is_dir()), None)
    if directory is None:
        raise NoResultsError(
            f"{record.run_id} is {record.state} and has not started: "
            f"`{target.command(f'watch {record.run_id}')}` shows when it has"
        )
    return directory / LOGS_DIRECTORY


def write_events(metrics: Path, directory: Path) -> None:
    """Write a metrics.csv as TensorBoard's own file.

    Args:
        metrics: A column step, a column wall_time (seconds since 1970), and one per scalar; empty where it was not
            logged.
        directory: Where the file goes.
    """
    # This import takes as long as all others of the command together.
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(directory))
    with metrics.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step, wall_time = int(row.pop(_STEP)), float(row.pop(_WALL_TIME))
            values = [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in row.items() if value]
            writer.add_event(Event(step=step, wall_time=wall_time, summary=Summary(value=values)))
    writer.close()


def _start(directory: Path, port: int) -> str:
    """Serve a directory from this process, which TensorBoard then cannot outlive; return the address.

    Raises:
        UsageProblemError: The port is taken.
    """
    from tensorboard import program

    board = program.TensorBoard()
    # Silence TensorBoard's notice about its own experiments.
    with contextlib.redirect_stderr(io.StringIO()):
        board.configure(argv=["tensorboard", "--logdir", str(directory), "--host", HOST, "--port", str(port)])
        try:
            return str(board.launch())
        except program.TensorBoardServerException as error:
            raise UsageProblemError(f"TensorBoard does not start ({error.msg}): give another --port") from error
