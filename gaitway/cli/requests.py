"""`gaitway validate` and `gaitway submit`: from a file to a run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaitway.cli.exits import UsageProblemError
from gaitway.cli.follow import follow, left_running
from gaitway.cli.show import console, document_of, print_json, request_table
from gaitway.cli.target import JsonOption, LocalOption, ProfileOption, RegionOption, Target, choose
from gaitway.cli.watch import RunFailedError
from gaitway.contracts.artifacts import METRICS
from gaitway.contracts.documents import parse_json_object
from gaitway.contracts.errors import RequestError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import Request, parse_request
from gaitway.run_files import RunFiles

if TYPE_CHECKING:
    from gaitway.runs import FoundRun, StartedRun

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Request: a JSON file, or - for stdin.")]

_ACCEPTED_SECONDS = 60.0
"""Functions that start cold take a few seconds each. After this time a run is left to itself."""
_POLL_SECONDS = 0.5
_PATH_FIELDS = ("custom_environment_path", "resume_checkpoint", "checkpoint_path", "policy_path")


def validate(file: FileArgument, as_json: JsonOption = False) -> None:
    """Check a request without sending it anywhere."""
    request = read_request(file)
    if as_json:
        print_json(request.model_dump(mode="json", by_alias=True))
        return
    console().print(request_table(request))
    console(stderr=True).print(
        f"{file} is a valid request. Next: `gaitway submit {file}`", markup=False, soft_wrap=True
    )


def submit(
    file: FileArgument,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the run to its end.")] = False,
    input_file: Annotated[
        str | None, typer.Option("--input", metavar="S3_URI", help="The asset's file to work on, say a checkpoint.")
    ] = None,
    policy_of: Annotated[
        str | None, typer.Option("--policy-of", metavar="RUN", help="Evaluate the newest checkpoint of this run.")
    ] = None,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
) -> None:
    """Check a request and start its run; files beside FILE that it names are uploaded."""
    request = read_request(file)
    given = _input_uri(input_file)
    if policy_of is not None and (given is not None or request.training_config.mode != "evaluate"):
        problem = "--input names a policy, too" if given is not None else "the request's mode is train"
        raise UsageProblemError(f"--policy-of names a policy to evaluate, but {problem}: leave out one of them")
    if given is None and policy_of is None:
        _check_inputs(request, file)
    target = choose(local, profile, region)
    if policy_of is not None:
        given = _outputs_of(target, policy_of) / METRICS
    started = target.runs.start(_with_uploads(request, file, target), input_file=given)
    try:
        with console(stderr=True).status(f"Starting {started.run_id}"):
            found = _accepted(target, started)
    except KeyboardInterrupt:
        raise left_running(target, started.run_id) from None
    if found.record.failure is not None:
        if as_json:
            print_json(document_of(found.record))
        raise RunFailedError(f"{found.run_id} was refused: {found.record.failure.cause}")
    if not (watch and as_json):
        _tell_started(target, started, as_json=as_json)
    if watch:
        follow(target, found, as_json=as_json)


def read_request(file: Path) -> Request:
    """Read and check a request.

    Raises:
        RequestError: It cannot be read, or is wrong: every wrong field with its value and what is allowed.
    """
    try:
        content = sys.stdin.read() if str(file) == "-" else file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror}): give the path of a JSON file") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{file} is no text in UTF-8 ({error}): give a JSON file") from None
    try:
        return parse_request(parse_json_object("the content", content))
    except RequestError as error:
        raise RequestError(f"{'the request on stdin' if str(file) == '-' else file}: {error}") from None


def _input_uri(text: str | None) -> S3Uri | None:
    try:
        return S3Uri.parse(text) if text is not None else None
    except ValueError as error:
        raise UsageProblemError(f"--input is {text!r}, which {error}") from None


def _local_files(request: Request, file: Path) -> dict[str, Path]:
    """Name the files that a request gives by path, relative to the file that it stands in."""
    folder = Path() if str(file) == "-" else file.parent
    paths = {name: getattr(request.training_config, name) for name in _PATH_FIELDS}
    return {name: folder / path for name, path in paths.items() if path is not None and not path.startswith("s3://")}


def _check_inputs(request: Request, file: Path) -> None:
    """Check that everything a request works on is there; with --input, some of it may be part of the asset instead.

    Raises:
        RequestError: Something is not.
    """
    training = request.training_config
    policies = (training.policy_s3_uri, training.policy_path, training.checkpoint_path)
    if training.mode == "evaluate" and all(policy is None for policy in policies):
        raise RequestError(
            "the request names no policy to evaluate: give --policy-of RUN, --input S3_URI, or policyS3Uri in its "
            "trainingConfig"
        )
    fields = type(training).model_fields
    missing = [
        f"{fields[name].alias} is {getattr(training, name)!r}, but there is no file {path}: give an S3 "
        "URI, a path relative to the request, or with --input one relative to the asset"
        for name, path in _local_files(request, file).items()
        if not path.is_file()
    ]
    if missing:
        raise RequestError("; ".join(missing))


def _with_uploads(request: Request, file: Path, target: Target) -> Request:
    """Upload the files that a request gives by path, and name them by where they are then."""
    files = RunFiles(target.session)
    uploaded = {
        name: str(files.put(path, target.deployment.asset_bucket_name))
        for name, path in _local_files(request, file).items()
        if path.is_file()
    }
    training = request.training_config.model_copy(update=uploaded)
    return request.model_copy(update={"training_config": training}) if uploaded else request


def _outputs_of(target: Target, run: str) -> S3Uri:
    found = target.runs.find(run)
    if found.record.output_files is None:
        raise UsageProblemError(f"--policy-of {found.run_id}: that run has no outputs. `gaitway ls` lists the runs")
    return found.record.output_files


def _accepted(target: Target, started: StartedRun) -> FoundRun:
    """Wait until a run's request has been resolved, inputs and all, or was refused."""
    give_up_at = time.monotonic() + _ACCEPTED_SECONDS
    while True:
        record = target.runs.record(started.run_id)
        resolved = record is not None and (record.spec is not None or record.state.ended)
        if resolved or time.monotonic() >= give_up_at or target.runs.caller_view(started).ended:
            return target.runs.found(started)
        time.sleep(_POLL_SECONDS)


def _tell_started(target: Target, started: StartedRun, *, as_json: bool) -> None:
    run_id = started.run_id
    if as_json:
        print_json(
            {"run_id": run_id, "execution_arn": started.execution_arn, "output_files": str(started.output_files)}
        )
        return
    out = console()
    out.print(f"Submitted {run_id}", markup=False)
    for verb in ("watch", "logs", "cancel", "results"):
        out.print(f"  {target.command(f'{verb} {run_id}')}", style="dim", markup=False, soft_wrap=True)
