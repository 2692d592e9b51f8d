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
from gaitway.cli.target import DeploymentOption, JsonOption, LocalOption, ProfileOption, RegionOption, Target, choose
from gaitway.cli.watch import RunFailedError
from gaitway.client.files import RunFiles
from gaitway.contracts.artifacts import METRICS
from gaitway.contracts.documents import parse_json_object
from gaitway.contracts.errors import RequestError
from gaitway.contracts.inputs import POLICY, GivenInput, given_inputs
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import Request, parse_request
from gaitway.workloads import workload_of

if TYPE_CHECKING:
    from gaitway.client.runs import FoundRun, StartedRun

_FILE = typer.Argument(metavar="FILE", help="Request: a JSON file, or - for stdin.")
FileArgument = Annotated[Path, _FILE]
OptionalFileArgument = Annotated[Path | None, _FILE]

_ACCEPTED_SECONDS = 60.0
"""Functions that start cold take a few seconds each. After this time a run is left to itself."""
_POLL_SECONDS = 0.5


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
    file: OptionalFileArgument = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the run to its end.")] = False,
    input_file: Annotated[
        str | None, typer.Option("--input", metavar="S3_URI", help="The asset's file to work on, say a checkpoint.")
    ] = None,
    policy_of: Annotated[
        str | None, typer.Option("--policy-of", metavar="RUN", help="Evaluate the newest checkpoint of this run.")
    ] = None,
    continued: Annotated[
        str | None, typer.Option("--continue", metavar="RUN", help="Continue this training; FILE may be left out.")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option("--iterations", min=1, help="With --continue: how many more to train.")
    ] = None,
    as_json: JsonOption = False,
    local: LocalOption = False,
    profile: ProfileOption = None,
    region: RegionOption = None,
    deployment: DeploymentOption = None,
) -> None:
    """Check a request and start its run; files beside FILE that it names are uploaded."""
    if iterations is not None and continued is None:
        raise UsageProblemError("--iterations counts beyond a run's iterations: give --continue RUN, too")
    if file is None and continued is None:
        raise UsageProblemError("FILE is missing: give the path of a request, or --continue RUN")
    request = read_request(file) if file is not None else Request()
    # Without a file, nothing is named by path.
    file = file or Path()
    given = _input_uri(input_file)
    if policy_of is not None and (given is not None or not workload_of(request.training_config).needs_policy):
        mode = request.training_config.mode
        problem = "--input also names a policy" if given is not None else f"the request's mode is {mode}"
        raise UsageProblemError(f"--policy-of names a policy to evaluate, but {problem}: leave out one of them")
    if given is None and policy_of is None:
        _check_inputs(request, file)
    target = choose(local, profile, region, deployment)
    if policy_of is not None:
        given = _outputs_of(target, policy_of) / METRICS
    if continued is not None:
        request = _continuing(request, target.runs.find(continued).run_id, iterations)
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
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror}): give the path of a JSON file") from None
    try:
        return parse_request(parse_json_object("the content", content))
    except RequestError as error:
        raise RequestError(f"{'the request on stdin' if str(file) == '-' else file}: {error}") from None


def _input_uri(text: str | None) -> S3Uri | None:
    try:
        return S3Uri.parse(text) if text is not None else None
    except ValueError as error:
        raise UsageProblemError(f"--input is {text!r}, which {error}") from None


def _local_files(request: Request, file: Path) -> list[tuple[GivenInput, Path]]:
    """List the files that a request gives by path, relative to the request's own file."""
    folder = Path() if str(file) == "-" else file.parent
    given = given_inputs(request.training_config)
    return [(one, folder / str(one.path)) for one in given if one.is_relative]


def _check_inputs(request: Request, file: Path) -> None:
    """Check that all inputs of a request exist; with --input, some of them may be part of the asset instead.

    Raises:
        RequestError: One of them does not exist.
    """
    training = request.training_config
    if workload_of(training).needs_policy and POLICY not in {one.name for one in given_inputs(training)}:
        raise RequestError(
            "the request names no policy to evaluate: give --policy-of RUN, --input S3_URI, or policyS3Uri in its "
            "trainingConfig"
        )
    missing = [
        f"{given.place} is {given.path!r}, but there is no file {path}: give an S3 "
        "URI, a path relative to the request, or with --input one relative to the asset"
        for given, path in _local_files(request, file)
        if not path.is_file()
    ]
    if missing:
        raise RequestError("; ".join(missing))


def _with_uploads(request: Request, file: Path, target: Target) -> Request:
    """Upload the files that a request gives by path, and name them by where they are then."""
    files = RunFiles(target.session)
    uploaded: dict[str, object] = {}
    for given, path in _local_files(request, file):
        if not path.is_file():
            continue
        place = str(files.put(path, target.deployment.asset_bucket_name))
        if given.index is None:
            uploaded[given.field] = place
        else:
            several = uploaded.setdefault(given.field, [*getattr(request.training_config, given.field)])
            assert isinstance(several, list)
            several[given.index] = place
    training = request.training_config.model_copy(update=uploaded)
    return request.model_copy(update={"training_config": training}) if uploaded else request


def _continuing(request: Request, run_id: str, iterations: int | None) -> Request:
    """Add to a request what it continues; what it does not give is as in that run."""
    given = request.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    further = {} if iterations is None else {"furtherIterations": iterations}
    return parse_request(given, {"trainingConfig": {"resumeFrom": run_id} | further})


def _outputs_of(target: Target, run: str) -> S3Uri:
    found = target.runs.find(run)
    if found.record.output_files is None:
        raise UsageProblemError(
            f"--policy-of {found.run_id}: that run has no outputs. `{target.command('ls')}` lists the runs"
        )
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
