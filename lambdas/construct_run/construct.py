"""Resolve a request to a RunSpec: every default filled in, every input an address that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.contracts.errors import RunRefusedError
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import Request, TrainingConfig, VamsMessage, parse_request
from gaitway.contracts.run import (
    CLOSING_SECONDS,
    TIMEOUT_SECONDS,
    ConstructedRun,
    RunSpec,
    output_prefix_of,
    output_prefix_of_step,
)
from lambdas.construct_run.policy import find_policy
from lambdas.job_sizes import job_size
from lambdas.observability import logger

if TYPE_CHECKING:
    from gaitway.aws.run_table import RunTable
    from gaitway.contracts.pipeline import ConstructRunEvent
    from lambdas.construct_run.inputs import Inputs
    from lambdas.job_sizes import JobSizes


class ConstructRun:
    """The construct_run function.

    Args:
        runs: The run table.
        inputs: Reads what the request points at.
        sizes: The jobs that fit the deployed instances.
    """

    def __init__(self, runs: RunTable, inputs: Inputs, sizes: JobSizes) -> None:
        self._runs = runs
        self._inputs = inputs
        self._sizes = sizes

    def handle(self, event: ConstructRunEvent) -> ConstructedRun:
        """Resolve a request, and write its run's specification into the record.

        Raises:
            RequestError: The request is wrong, or asks for what is not deployed.
            InputNotFoundError: Something that it points at does not exist, or cannot be read.
            RunRefusedError: The run has ended, or belongs to another execution.
        """
        request = self._read_request(event.message)
        job_size(request.compute_config, self._sizes)
        spec = self._resolve(event.run_id, event.message, request)
        if not self._runs.update(
            event.run_id,
            of_execution=event.execution_arn,
            mode=spec.training.mode,
            task=spec.training.task,
            name=spec.name,
            spec=spec,
        ):
            raise RunRefusedError(f"{event.run_id} has ended, or was begun anew by another execution")
        mode = spec.training.mode
        logger.info("%s: %s %s, results go to %s", spec.run_id, mode, spec.training.task, spec.output_files)
        return ConstructedRun(run_id=spec.run_id, timeout_seconds=TIMEOUT_SECONDS[mode] - CLOSING_SECONDS)

    def _read_request(self, message: VamsMessage) -> Request:
        file = message.config_file
        return parse_request(message.input_parameters, self._inputs.read_json(file) if file else None)

    def _resolve(self, run_id: str, message: VamsMessage, request: Request) -> RunSpec:
        training = request.training_config
        places = _places(message)
        output_files = output_prefix_of_step(message, training.mode, run_id)

        def resolve(field: str, path: str | S3Uri | None) -> S3Uri | None:
            return self._inputs.resolve(field, path, places) if path is not None else None

        return RunSpec(
            run_id=run_id,
            name=request.name,
            description=request.description,
            training=training,
            compute=request.compute_config,
            policy=self._policy(message, training, places),
            resume_checkpoint=resolve("trainingConfig.resumeCheckpoint", training.resume_checkpoint),
            custom_environment=resolve("customEnvironmentPath", training.custom_environment_path)
            or resolve("customEnvironmentS3Uri", training.custom_environment_s3_uri),
            output_files=output_files,
            output_metadata=_metadata_prefix(message, output_files),
        )

    def _policy(self, message: VamsMessage, training: TrainingConfig, places: list[S3Uri]) -> S3Uri | None:
        if training.mode == "train":
            return None
        given = {
            "trainingConfig.policyS3Uri": training.policy_s3_uri,
            "trainingConfig.policyPath": training.policy_path,
            "trainingConfig.checkpointPath": training.checkpoint_path,
        }
        for field, path in given.items():
            if path is not None:
                return self._inputs.resolve(field, path, places)
        return find_policy(message.input_s3_asset_file_path, places, self._inputs)


def _metadata_prefix(message: VamsMessage, output_files: S3Uri) -> S3Uri | None:
    """Say where metadata go: below their path as the files below theirs, so that VAMS finds the file to each."""
    if message.output_s3_asset_metadata_path is None:
        return None
    folder = output_files.key.removeprefix((message.output_s3_asset_files_path / "").key)
    return message.output_s3_asset_metadata_path / folder


def _places(message: VamsMessage) -> list[S3Uri]:
    """List the folders that a path may be relative to: the first step's outputs, the input file's, and the asset's."""
    places = [output_prefix_of(message.output_s3_asset_files_path)] if message.follows_another_step else []
    file = message.input_s3_asset_file_path
    if file is not None:
        is_folder = not file.key or file.key.endswith("/")
        places.append(file if is_folder else file.parent)
    if message.bucket_asset is not None and message.input_asset_location_key is not None:
        places.append(S3Uri(message.bucket_asset, message.input_asset_location_key) / "")
    return list(dict.fromkeys(places))
