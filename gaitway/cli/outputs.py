"""`gaitway logs` and `gaitway results`: a run's log and its results."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaitway.cli.exits import Exit, UsageProblemError
from gaitway.cli.runs import RunArgument
from gaitway.cli.show import console, print_json
from gaitway.cli.target import DeploymentOption, JsonOption, LocalOption, ProfileOption, RegionOption, choose
from gaitway.client.files import NoResultsError, RunFiles, Wanted, everything
from gaitway.client.logs import LogEvent, LogNotFoundError, RunLogs
from gaitway.contracts.artifacts import MANIFEST, RESULTS
from gaitway.contracts.run import RunState

if TYPE_CHECKING:
    from gaitway.cli.target import Target
    from gaitway.contracts.artifacts import ManifestEntry
    from gaitway.contracts.run import RunRecord


def logs(
    run: RunArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue until the run ends.")] = False,
    node: Annotated[int, typer.Option("--node", min=0, help="Which node of a run on several; 0 is the main one.")] = 0,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Print the log of the newest attempt of a run's job."""
    if follow and as_json:
        raise UsageProblemError("--json prints one document and --follow has no end: give one of them")
    target = choose(local, profile, region, deployment)
    found = target.runs.find(run)
    reader = RunLogs(target.session, target.commands, target.deployment.run_table_name)
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
                "log_stream": stream.stream,
                "events": [{"timestamp": _moment(event), "message": event.message} for event in events],
            }
        )
        return
    for event in events:
        typer.echo(_line(event))
    if not events:
        console(stderr=True).print(f"Nothing has been said so far in {stream.group} {stream.stream}", soft_wrap=True)


def results(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where files go; outputs/RUN if not given.")
    ] = None,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Fetch the files that a run left, checked against their digests; what is there already is not fetched again."""
    target = choose(local, profile, region, deployment)
    record = target.runs.find(run).record
    directory = output or Path("outputs") / record.run_id
    with console(stderr=True).status(f"Fetching {record.run_id}"):
        files, listed_in = fetch(record, target, directory)
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
    record: RunRecord, target: Target, directory: Path, *, wanted: Wanted = everything
) -> tuple[list[ManifestEntry], str]:
    """Fetch the files of a run that has ended.

    Args:
        record: The run.
        target: Its deployment.
        directory: Where to write the files.
        wanted: Returns for each name whether to fetch that file.

    Returns:
        All files of the run, and the name of the file that lists them.

    Raises:
        NoResultsError: The run has not ended, or has no files.
        ArtifactError: A file is not what the list says.
    """
    if not record.state.ended:
        raise NoResultsError(
            f"{record.run_id} is {record.state} and its results are not complete: "
            f"`{target.command(f'watch {record.run_id}')}` follows it to its end"
        )
    cause = f": {record.failure.cause}" if record.failure else ""
    if record.output_files is None:
        raise NoResultsError(f"{record.run_id} ended before it had outputs{cause}")
    files = RunFiles(target.session)
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
    return f"{record.run_id} is {record.state} and its job has not started: wait for it with --follow"


def _moment(event: LogEvent) -> str:
    return datetime.fromtimestamp(event.timestamp / 1000, UTC).isoformat(timespec="milliseconds")


def _line(event: LogEvent) -> str:
    return event.message.rstrip("\n")
