"""Starting, finding, following and ending runs: what the command line does with a deployment, embedded or not."""

from __future__ import annotations

import heapq
import itertools
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaitway.aws.run_table import NoIndexError, RunTable
from gaitway.client.files import RunFiles
from gaitway.commands import DEFAULT_COMMANDS, Commands
from gaitway.contracts.artifacts import Manifest
from gaitway.contracts.errors import CancelledError, Failure, PlatformError
from gaitway.contracts.run import RunRecord, RunState, output_prefix_of, run_id_of, workflow_output_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import boto3

    from gaitway.aws.run_table import IndexedRun
    from gaitway.client.deployment import Deployment
    from gaitway.contracts.model import S3Uri
    from gaitway.contracts.request import Request

_FAILURES = ("FAILED", "TIMED_OUT", "ABORTED")
_EXECUTIONS_SEARCHED = 1000
"""A run without a record is seconds old, or was refused: its user has just started it."""
_READERS = 8


class RunNotFoundError(Exception):
    """No run has this id, or more than one could be meant."""


@dataclass(frozen=True)
class StartedRun:
    """A run that the outer workflow started."""

    run_id: str
    execution_arn: str
    """The outer execution: it ends when the caller has received the run's end."""
    output_files: S3Uri
    """Prefix of the run's outputs."""


@dataclass(frozen=True)
class FoundRun:
    """A run that was started earlier."""

    record: RunRecord
    execution_arn: str | None
    """The outer execution; None where the caller was not our workflow."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.record.run_id


@dataclass(frozen=True)
class CallerView:
    """What the caller of a run knows: the state of the outer execution."""

    ended: bool
    """Whether the caller has received the run's end."""
    failure: Failure | None
    """Why it failed; None for an active run and for a success."""


class Runs:
    """The runs of one deployment.

    Args:
        session: Where clients come from: its region, credentials and endpoint are the deployment's.
        deployment: What `cdk deploy` left.
        commands: Writes the commands that are suggested.
    """

    def __init__(self, session: boto3.Session, deployment: Deployment, commands: Commands = DEFAULT_COMMANDS) -> None:
        self._commands = commands
        self._deployment = deployment
        self._stepfunctions = session.client("stepfunctions")
        self._table = RunTable(session.client("dynamodb"), deployment.run_table_name)
        self._files = RunFiles(session)

    def start(self, request: Request, *, input_file: S3Uri | None = None) -> StartedRun:
        """Start the outer workflow for a request.

        Args:
            request: What to do.
            input_file: The asset's file that the run works on: to evaluate, a checkpoint.
        """
        name = uuid.uuid4().hex
        document: dict[str, object] = {
            "mode": request.training_config.mode,
            "inputParameters": request.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True),
        }
        if input_file is not None:
            document["inputS3AssetFilePath"] = str(input_file)
        execution = self._stepfunctions.start_execution(
            stateMachineArn=self._deployment.workflow_arn, name=name, input=json.dumps(document)
        )
        output_path = workflow_output_path(self._deployment.asset_bucket_name, name)
        return StartedRun(
            run_id=run_id_of(output_path),
            execution_arn=execution["executionArn"],
            output_files=output_prefix_of(output_path),
        )

    def record(self, run_id: str) -> RunRecord | None:
        """Read a run's record; None until launch has taken the run."""
        return self._table.get(run_id)

    def newest(self, limit: int, states: Sequence[RunState] = (), group_id: str | None = None) -> list[RunRecord]:
        """Read the records of the newest runs, the newest first.

        Args:
            limit: How many.
            states: In which states; none for all.
            group_id: Of which group; None for all runs.

        Raises:
            PlatformError: The deployment knows no groups yet.
        """
        if group_id is None:
            by_state = [self._table.list_in(state, newest_first=True) for state in states or RunState]
            found: Iterator[IndexedRun] = heapq.merge(*by_state, key=lambda run: run.created_at, reverse=True)
        else:
            of_group = self._table.list_group(group_id, newest_first=True)
            found = (run for run in of_group if not states or run.state in states)
        try:
            run_ids = dict.fromkeys(run.run_id for run in itertools.islice(found, limit))
        except NoIndexError as error:
            raise PlatformError(
                f"{error} yet. If the deployment is older than groups, update it with `{self._commands.deploy}`; "
                "if it has just been updated, wait some minutes"
            ) from error
        with ThreadPoolExecutor(_READERS) as readers:
            return [record for record in readers.map(self._table.get, run_ids) if record is not None]

    def find(self, name: str) -> FoundRun:
        """Find a run by its id, or by the beginning of its id, with or without `run-`.

        Raises:
            RunNotFoundError: No run, or more than one, matches.
        """
        if not name.removeprefix("run-"):
            raise RunNotFoundError(f"{name!r} is not the id of a run: `{self._commands.gaitway('ls')}` lists the runs")
        run_id = f"run-{name.removeprefix('run-')}"
        record = self._table.get(run_id)
        if record is not None:
            return FoundRun(record, self._outer_execution(record))
        recorded = {run.run_id for run in self._table.list_in(*RunState) if run.run_id.startswith(run_id)}
        executions = {found: arn for found, arn in self._executions() if found.startswith(run_id)}
        matches = sorted(recorded | executions.keys())
        if not matches:
            raise RunNotFoundError(f"there is no run {name!r}: `{self._commands.gaitway('ls')}` lists the runs")
        if len(matches) > 1:
            shown = ", ".join(matches[:5]) + (", ..." if len(matches) > 5 else "")
            raise RunNotFoundError(f"{name!r} matches {len(matches)} runs ({shown}): give more characters of the id")
        record = self._table.get(matches[0])
        if record is not None:
            return FoundRun(record, self._outer_execution(record))
        return self._unrecorded(matches[0], executions[matches[0]])

    def look_again(self, run: FoundRun) -> FoundRun:
        """Read the present state of a run."""
        record = self._table.get(run.run_id)
        if record is not None:
            return FoundRun(record, run.execution_arn)
        return self._unrecorded(run.run_id, run.execution_arn) if run.execution_arn else run

    def found(self, run: StartedRun) -> FoundRun:
        """Look at a run that was started here."""
        record = self._table.get(run.run_id)
        return FoundRun(record, run.execution_arn) if record else self._unrecorded(run.run_id, run.execution_arn)

    def caller_view(self, run: StartedRun | FoundRun) -> CallerView:
        """Read the state of the outer execution; if another caller started the run, the state of its record."""
        if run.execution_arn is None:
            record = self._table.get(run.run_id)
            return CallerView(record is None or record.state.ended, record.failure if record else None)
        execution = self._stepfunctions.describe_execution(executionArn=run.execution_arn)
        failed = execution["status"] in _FAILURES
        failure = Failure.reported(execution.get("error", ""), execution.get("cause", "")) if failed else None
        return CallerView(ended=execution["status"] in ("SUCCEEDED", *_FAILURES), failure=failure)

    def cancel(self, run: FoundRun) -> None:
        """Stop a run: its watchers end the job, save its files, and record the cause. That takes seconds."""
        if run.execution_arn is not None and not self.caller_view(run).ended:
            self._stop(run.execution_arn)
        else:
            self.stop_execution(run)

    def stop_execution(self, run: FoundRun) -> None:
        """Stop the inner execution of a run, if that is active."""
        if run.record.execution_arn is not None and not run.record.state.ended:
            self._stop(run.record.execution_arn)

    def fetch(self, output_files: S3Uri, directory: Path) -> Manifest:
        """Download everything that a run's manifest lists, and check it: see `RunFiles.fetch`."""
        return self._files.fetch(output_files, directory)

    def _stop(self, execution_arn: str) -> None:
        self._stepfunctions.stop_execution(
            executionArn=execution_arn, error=CancelledError.__name__, cause="cancelled with `gaitway cancel`"
        )

    def _outer_execution(self, record: RunRecord) -> str | None:
        """Find the execution of our workflow that started a run; None if there is none, or it has expired."""
        if record.spec is None:
            return next((arn for run_id, arn in self._executions() if run_id == record.run_id), None)
        match = re.match(r"runs/([^/]+)/output/", record.spec.output_files.key)
        if match is None or self._run_of(match[1]) != record.run_id:
            return None
        arn = f"{self._deployment.workflow_arn.replace(':stateMachine:', ':execution:')}:{match[1]}"
        try:
            self._stepfunctions.describe_execution(executionArn=arn)
        except self._stepfunctions.exceptions.ExecutionDoesNotExist:
            # Step Functions keeps them for 90 days.
            return None
        return arn

    def _executions(self) -> Iterator[tuple[str, str]]:
        """List the newest executions of our workflow: the id of the run, and the ARN."""
        pages = self._stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=self._deployment.workflow_arn, PaginationConfig={"MaxItems": _EXECUTIONS_SEARCHED}
        )
        for page in pages:
            for execution in page["executions"]:
                yield self._run_of(execution["name"]), execution["executionArn"]

    def _run_of(self, execution_name: str) -> str:
        return run_id_of(workflow_output_path(self._deployment.asset_bucket_name, execution_name))

    def _unrecorded(self, run_id: str, execution_arn: str) -> FoundRun:
        """Describe a run that launch has not taken yet, or has refused, as far as its caller knows."""
        execution = self._stepfunctions.describe_execution(executionArn=execution_arn)
        failed = execution["status"] in _FAILURES
        record = RunRecord(
            run_id=run_id,
            state=RunState.FAILED if failed else RunState.ACCEPTED,
            created_at=execution["startDate"],
            updated_at=execution.get("stopDate") or execution["startDate"],
            ended_at=execution.get("stopDate"),
            failure=Failure.reported(execution.get("error", ""), execution.get("cause", "")) if failed else None,
        )
        return FoundRun(record, execution_arn)
