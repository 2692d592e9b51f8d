"""`gaitway logs` and `gaitway results`: what a run says, and what it leaves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaitway.cli.exits import Exit, UsageProblemError
from gaitway.cli.runs import RunArgument
from gaitway.cli.show import console, print_json
from gaitway.cli.target import JsonOption, LocalOption, ProfileOption, RegionOption, choose
from gaitway.contracts.artifacts import MANIFEST, RESULTS
from gaitway.contracts.run import RunState
from gaitway.run_files import NoResultsError, RunFiles, Wanted, everything
from gaitway.run_logs import LogEvent, LogNotFoundError, RunLogs

if TYPE_CHECKING:
    from gaitway.contracts.artifacts import ManifestEntry
    from gaitway.contracts.run import RunRecord


def logs(
    run: RunArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    node: Annotated[int, typer.Option("--node", min=0, help="Which node of a run on several; 0 is the main one.")] = 0,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
) -> None:
    """Print what the newest attempt of a run's job has said."""
    if follow and as_json:
        raise UsageProblemError("--json prints one document and --follow has no end: give one of them")
    target = choose(local, profile, region)
    found = target.runs.find(run)
    reader = RunLogs(target.session)
    if follow:
        try:
            for event in reader.follow(lambda: target.runs.look_again(found).record, node):
                typer.echo(_line(event))
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None
        return
    stream = reader.stream(found.record, node)
    if stream is None:
        raise LogNotFoundError(_no_log(found.record))
    events = reader.read(stream)
    if as_json:
        print_json(
            {
                "run_id": found.run_id,
                "log_group": stream.group,
                "log_stream": stream.name,
                "events": [{"timestamp": _moment(event), "message": event.message} for event in events],
            }
        )
        return
    for event in events:
        typer.echo(_line(event))
    if not events:
        console(stderr=True).print(f"Nothing has been said so far in {stream.group} {stream.name}", soft_wrap=True)


def results(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where files go; outputs/RUN if not given.")
    ] = None,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
) -> None:
    """Fetch the files that a run left, checked against their digests; what is there already is not fetched again."""
    target = choose(local, profile, region)
    record = target.runs.find(run).record
    directory = output or Path("outputs") / record.run_id
    with console(stderr=True).status(f"Fetching {record.run_id}"):
        files, listed_in = fetch(record, RunFiles(target.session), directory)
    if as_json:
        print_json(
            {
                "run_id": record.run_id,
                "state": record.state,
                "directory": str(directory.absolute()),
                "files": [entry.model_dump(mode="json") for entry in files],
            }
        )
        return
    size = sum(entry.size for entry in files) / 2**20
    console().print(
        f"{directory}: {len(files)} files, {size:.1f} MiB, listed with sizes and digests in {listed_in}", soft_wrap=True
    )


def fetch(
    record: RunRecord, files: RunFiles, directory: Path, *, wanted: Wanted = everything
) -> tuple[list[ManifestEntry], str]:
    """Fetch what a run left that has ended.

    Args:
        record: The run.
        files: The deployment's.
        directory: Where the files go.
        wanted: Tells, of each name, whether that file is to be fetched.

    Returns:
        Everything that the run left, and the name of the file that lists it.

    Raises:
        NoResultsError: The run has not ended, or left nothing.
        ArtifactError: A file is not what the list says.
    """
    if not record.state.ended:
        raise NoResultsError(
            f"{record.run_id} is {record.state} and its results are not complete: `gaitway watch {record.run_id}` "
            "follows it to its end"
        )
    cause = f": {record.failure.cause}" if record.failure else ""
    if record.output_files is None:
        raise NoResultsError(f"{record.run_id} ended before it had outputs{cause}")
    try:
        if record.state is RunState.SUCCEEDED:
            return files.fetch(record.output_files, directory, wanted=wanted).files, MANIFEST
        return files.fetch_failed(record.output_files, directory, wanted=wanted), RESULTS
    except NoResultsError as error:
        raise NoResultsError(f"{record.run_id} left nothing to fetch ({error}){cause}") from error


def _no_log(record: RunRecord) -> str:
    if record.state.ended:
        cause = f": {record.failure.cause}" if record.failure else ""
        return f"{record.run_id} ended before its job said anything{cause}"
    return f"{record.run_id} is {record.state} and its job has not begun: wait for it with --follow"


def _moment(event: LogEvent) -> str:
    return datetime.fromtimestamp(event.timestamp / 1000, UTC).isoformat(timespec="milliseconds")


def _line(event: LogEvent) -> str:
    return event.message.rstrip("\n")
