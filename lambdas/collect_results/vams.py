"""Write the metadata of a run for VAMS."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gaitway.contracts.vams import METADATA_SUFFIX, VAMS, metadata_of
from gaitway.outputs.upload import Uploader

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from lambdas.collect_results.sinks import PublishedRun


class VamsMetadata:
    """Writes the metadata of a run's file to the place where VAMS reads it.

    Args:
        s3: An S3 client.
    """

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3

    def publish(self, run: PublishedRun) -> None:
        """Write the metadata; nothing if the run has another kind of caller, has no path for them, or S3 holds them.

        Raises:
            ArtifactError: They could not be written.
            RunRefusedError: The run has failed, or was started again.
        """
        # Before November 2026 there was no other kind of caller.
        is_of_vams = run.spec.caller is None or run.spec.caller.kind == VAMS
        if not is_of_vams or run.spec.output_metadata is None:
            return
        file, document = metadata_of(run.results)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "metadata.json")
            path.write_text(document.model_dump_json(by_alias=True, indent=2), encoding="utf-8")
            uploader = Uploader(self._s3, run.spec.output_metadata, run.is_current)
            uploader.upload_once(f"{file}{METADATA_SUFFIX}", path)
