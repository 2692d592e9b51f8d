"""Check what a run left in S3 against its manifest, and tell its caller."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import ValidationError

from gaitway.contracts.artifacts import MANIFEST, METRICS, RESULTS, Manifest
from gaitway.contracts.errors import ArtifactError, RunRefusedError
from gaitway.contracts.run import JobResult, RunResult, RunState, to_json
from lambdas.collect_results.metadata import write_metadata
from lambdas.observability import logger
from lambdas.outcome import count_success

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_s3 import S3Client

    from gaitway.aws.run_table import RunTable
    from gaitway.aws.task_tokens import TaskTokens
    from gaitway.contracts.model import S3Uri
    from gaitway.contracts.pipeline import CollectResultsEvent

_ABSENT = frozenset({"NoSuchKey", "NoSuchBucket", "AccessDenied"})


class CollectResults:
    """The collect_results function.

    Args:
        runs: The run table.
        callers: Answers the callers' tokens.
        s3: An S3 client.
        cloudwatch: A CloudWatch client that gives up early.
    """

    def __init__(self, runs: RunTable, callers: TaskTokens, s3: S3Client, cloudwatch: CloudWatchClient) -> None:
        self._runs = runs
        self._callers = callers
        self._s3 = s3
        self._cloudwatch = cloudwatch

    def handle(self, event: CollectResultsEvent) -> JobResult:
        """Check the run's outputs, write down its success, and tell its caller; doing so again changes nothing.

        Raises:
            ArtifactError: A file is missing, or is not what the manifest says.
            RunRefusedError: The run has failed by now, or belongs to another execution.
        """
        self._check(event.run_id, event.job.manifest)
        has_just_succeeded = self._runs.update(
            event.run_id,
            of_execution=event.execution_arn,
            state=RunState.SUCCEEDED,
            ended_at=datetime.now(UTC),
            failure=None,
        )
        record = self._runs.get(event.run_id)
        if (
            record is None
            or record.state is not RunState.SUCCEEDED
            or record.execution_arn != event.execution_arn
            or record.spec is None
        ):
            raise RunRefusedError(f"{event.run_id} has ended otherwise, or was begun anew by another execution")
        # Once its caller knows of the success, it reads them.
        write_metadata(self._s3, record.spec)
        caller = self._runs.caller(event.run_id, event.execution_arn)
        if caller is None or not self._callers.succeed(caller, to_json(RunResult.of(record))):
            logger.warning("%s: nobody waits for its success", event.run_id)
        if has_just_succeeded:
            count_success(self._cloudwatch)
        return JobResult(run_id=event.run_id, manifest=record.spec.output_files / MANIFEST)

    def _check(self, run_id: str, uri: S3Uri) -> None:
        manifest = self._read(uri)
        if manifest.run_id != run_id:
            raise ArtifactError(f"{uri} is the manifest of {manifest.run_id}, not of {run_id}")
        listed = {entry.path: entry.size for entry in manifest.files}
        for required in (METRICS, RESULTS):
            if required not in listed:
                raise ArtifactError(f"{uri} does not list {required}, which every run leaves behind")
        sizes = self._sizes(uri.parent)
        for path, size in listed.items():
            if path not in sizes:
                raise ArtifactError(f"{uri.parent / path} is missing, though the manifest lists it: try the run again")
            if sizes[path] != size:
                raise ArtifactError(
                    f"{uri.parent / path} has {sizes[path]} bytes, the manifest says {size}: it was changed since its "
                    "upload; try the run again"
                )

    def _read(self, uri: S3Uri) -> Manifest:
        try:
            body = self._s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                raise ArtifactError(f"{uri} cannot be read, though the job reported it: {error}") from error
            raise
        try:
            return Manifest.model_validate_json(body)
        except ValidationError as error:
            raise ArtifactError(f"{uri} is no manifest: {error}") from error

    def _sizes(self, prefix: S3Uri) -> dict[str, int]:
        """List the objects below a prefix, by their path from there: one call per thousand, not one per file."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
        return {
            entry["Key"].removeprefix(prefix.key): entry["Size"] for page in pages for entry in page.get("Contents", [])
        }
