"""Find the policy to evaluate where the request names none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.contracts.artifacts import CHECKPOINTS
from gaitway.contracts.checkpoints import SUFFIXES, newest
from gaitway.contracts.errors import InputNotFoundError
from gaitway.contracts.model import S3Uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambdas.construct_run.inputs import Inputs

_ADVICE = "give policyS3Uri or policyPath, or a checkpoint as inputS3AssetFilePath"


def find_policy(input_file: S3Uri | None, places: Sequence[S3Uri], inputs: Inputs) -> S3Uri:
    """Take the input file if it is a checkpoint, else the newest checkpoint beside it.

    Args:
        input_file: The asset's file that the run works on.
        places: The input file's folder, then the asset's: the first of them is searched.
        inputs: Reads what the request points at.

    Raises:
        InputNotFoundError: There is none; says where it was looked for, and what to give.
    """
    if input_file is not None and input_file.key.lower().endswith(SUFFIXES):
        return inputs.resolve("inputS3AssetFilePath", input_file, [])
    if not places:
        raise InputNotFoundError(f"there is no policy to evaluate: {_ADVICE}")
    folders = [places[0], places[0] / CHECKPOINTS]
    checkpoints = [uri.key for folder in folders for uri in inputs.list_folder(folder)]
    found = newest(checkpoints)
    if found is None:
        looked = " and ".join(str(folder) for folder in folders)
        raise InputNotFoundError(f"there is no policy to evaluate in {looked}: {_ADVICE}")
    return S3Uri(places[0].bucket, found)
