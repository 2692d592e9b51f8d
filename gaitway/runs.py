"""Starting, following and fetching runs: what the command line does with a deployment, embedded or in an account."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaitway.aws.run_table import RunTable
from gaitway.contracts.artifacts import MANIFEST, Manifest
from gaitway.contracts.errors import ArtifactError, Failure
from gaitway.contracts.run import output_prefix_of, run_id_of, workflow_output_path

if TYPE_CHECKING:
    from pathlib import Path

    import boto3

    from gaitway.contracts.model import S3Uri
    from gaitway.contracts.request import Request
    from gaitway.contracts.run import RunRecord
    from gaitway.deployment import Deployment

_FAILURES = ("FAILED", "TIMED_OUT", "ABORTED")


@dataclass(frozen=True)
class StartedRun:
    """A run that the outer workflow was asked for."""

    run_id: str
    execution_arn: str
    """The outer execution: it ends when the caller has been told."""
    output_files: S3Uri
    """Prefix of the run's outputs."""


@dataclass(frozen=True)
class CallerView:
    """What the caller of a run knows: how the outer execution stands."""

    ended: bool
    """Whether the caller has been told how the run ended."""
    failure: Failure | None
    """Why it failed; None while it goes on, and for a success."""


class Runs:
    """The runs of one deployment.

    Args:
        session: Where clients come from: its region, credentials and endpoint are the deployment's.
        deployment: What `cdk deploy` left.
    """

    def __init__(self, session: boto3.Session, deployment: Deployment) -> None:
        self._deployment = deployment
        self._stepfunctions = session.client("stepfunctions")
        self._s3 = session.client("s3")
        self._table = RunTable(session.client("dynamodb"), deployment.run_table_name)

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

    def caller_view(self, run: StartedRun) -> CallerView:
        """Ask how the outer execution stands."""
        execution = self._stepfunctions.describe_execution(executionArn=run.execution_arn)
        failed = execution["status"] in _FAILURES
        failure = Failure.reported(execution.get("error", ""), execution.get("cause", "")) if failed else None
        return CallerView(ended=execution["status"] in ("SUCCEEDED", *_FAILURES), failure=failure)

    def fetch(self, output_files: S3Uri, directory: Path) -> Manifest:
        """Download everything that a run's manifest lists, and check it.

        Args:
            output_files: Prefix of the run's outputs.
            directory: Where the files go, in the same layout.

        Raises:
            ArtifactError: A file is not what the manifest says.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._download(output_files / MANIFEST, directory / MANIFEST)
        manifest = Manifest.model_validate_json((directory / MANIFEST).read_bytes())
        for entry in manifest.files:
            target = directory / entry.path
            if not target.resolve().is_relative_to(directory.resolve()):
                raise ArtifactError(f"the manifest names {entry.path!r}, which lies outside the run's outputs")
            self._download(output_files / entry.path, target)
            with target.open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != entry.sha256:
                    raise ArtifactError(f"{output_files / entry.path} differs from what the run's manifest says")
        return manifest

    def _download(self, uri: S3Uri, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._s3.download_file(uri.bucket, uri.key, str(target))
