"""Find the policy to evaluate if the request names none, and refuse a file that is none."""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gaitway.contracts.artifacts import CHECKPOINTS, EXPORTED, PARAMETERS
from gaitway.contracts.errors import InputNotFoundError, RequestError
from gaitway.contracts.inputs import POLICY
from gaitway.contracts.model import S3Uri
from gaitway.libraries import LIBRARIES, record_of
from gaitway.libraries.checkpoints import is_meant_as_policy, may_be_policy, unmistakable
from gaitway.libraries.content import Checkpoint, refusal
from gaitway.libraries.recorded import SPACES, contradictions, read_settings
from lambdas.observability import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gaitway.contracts.inputs import InputFile
    from gaitway.contracts.workload import WorkloadConfig
    from gaitway.libraries import RlLibrary
    from lambdas.construct_run.inputs import Inputs, Listed

_ADVICE = "give policyS3Uri or policyPath, or a checkpoint as the input file"
_SHOWN = 10
"""Names in a message."""
_OWN_FOLDERS = {CHECKPOINTS.rstrip("/"), *(record.checkpoints.directory for record in LIBRARIES.values())} - {None}
"""Folders of a training in which checkpoints are: the training is the folder above."""


def find_policy(
    input_file: S3Uri | None, places: Sequence[S3Uri], library: RlLibrary | None, inputs: Inputs
) -> InputFile:
    """Take the input file if it is meant as a policy, else look for one beside it, then in the folders below.

    A training's outputs are one or two folders below an asset, by execution: the newest training counts.

    Args:
        input_file: The asset's file that the run works on.
        places: The input file's folder, then the asset's: they are searched in this order.
        library: The request's library: its checkpoints are meant, if there are any.
        inputs: Reads what the request points at.

    Raises:
        InputNotFoundError: There is none, or several could be meant; the message says what was seen, and what to give.
    """
    if input_file is not None and is_meant_as_policy(input_file.key, library):
        return inputs.resolve("the input file", input_file, [])
    if not places:
        raise InputNotFoundError(f"there is no policy to evaluate: {_ADVICE}")
    looked = [_candidates(place, library, inputs) for place in places]
    for choose in (_latest, _only):
        for found in (choose(files, library) for groups in looked for files in groups):
            if found is not None:
                return inputs.resolve("the policy", found, [])
    seen = {str(file.uri): None for groups in looked for files in groups for file in files}
    if not seen:
        where = " and ".join(str(place) for place in places)
        raise InputNotFoundError(f"there is no policy to evaluate in {where} or in a folder below: {_ADVICE}")
    raise InputNotFoundError(_unclear(list(seen), library))


def check_policy(field: str, name: str, file: InputFile, library: RlLibrary | None, inputs: Inputs) -> RlLibrary | None:
    """Refuse a file that holds no policy of the request's library, before a machine is paid for.

    Args:
        field: What names the file.
        name: Name of the input.
        file: The file.
        library: The request's library; None if that of the checkpoint is meant.
        inputs: Reads it.

    Returns:
        The library that wrote it; None if the file does not say.

    Raises:
        RequestError: It holds something else; the message says what, and what to give.
    """
    content = inputs.look_into(file)
    problem = refusal(content, library, may_be_exported=name == POLICY)
    if problem is not None:
        raise RequestError(f"{field} is {file.uri}, {problem}")
    return content.library if isinstance(content, Checkpoint) else None


def check_settings(field: str, file: InputFile, training: WorkloadConfig, inputs: Inputs) -> InputFile | None:
    """Refuse overrides that contradict the settings that a checkpoint was trained with, as they are beside it.

    Args:
        field: What names the checkpoint.
        file: The checkpoint.
        training: The request.
        inputs: Reads the settings; what cannot be read says nothing.

    Returns:
        The agent's settings; None if they are not there.

    Raises:
        RequestError: Names the override, and what was recorded.
    """
    folder = training_folder(file.uri)
    agent = inputs.find(folder / f"{PARAMETERS}agent.yaml")
    if training.library is None or not training.hydra_overrides:
        return agent
    keys = {override.lstrip("+").partition("=")[0] for override in training.hydra_overrides}
    spaces = keys & {f"env.{name}" for name in SPACES}
    environment = inputs.find(folder / f"{PARAMETERS}env.yaml") if spaces else None
    found = contradictions(
        record_of(training.library), training.hydra_overrides, _settings(agent, inputs), _settings(environment, inputs)
    )
    for override, trained in found:
        raise RequestError(
            f"trainingConfig.hydraOverrides has {override}, but {field} is {file.uri}, which was trained with "
            f"{trained}, as its params/*.yaml say: leave the override out, or give a checkpoint that fits it"
        )
    return agent


def _settings(file: InputFile | None, inputs: Inputs) -> object:
    if file is None:
        return None
    try:
        return read_settings(inputs.read_text(file.uri))
    except ValueError as error:
        logger.info("%s is not used: %s", file.uri, error)
        return None


def training_folder(checkpoint: S3Uri) -> S3Uri:
    """Return the folder of a checkpoint's training, in which its parameters are."""
    folder = checkpoint.parent
    return folder.parent if PurePosixPath(folder.key).name in _OWN_FOLDERS else folder


def _candidates(place: S3Uri, library: RlLibrary | None, inputs: Inputs) -> tuple[list[Listed], list[Listed]]:
    """List the files that may hold a policy: of the training in a folder, and of those in all folders below."""
    below = [file for file in inputs.list_below(place) if _is_candidate(file.uri, place)]
    files = [file for file in below if may_be_policy(file.uri.key, library)] or [
        file for file in below if is_meant_as_policy(file.uri.key, library)
    ]
    return [file for file in files if training_folder(file.uri) == place], files


def _is_candidate(uri: S3Uri, place: S3Uri) -> bool:
    """Leave out hidden files, and exports beside their checkpoints."""
    *folders, name = PurePosixPath(uri.key.removeprefix(place.key)).parts or ("",)
    return not name.startswith(".") and EXPORTED.rstrip("/") not in folders


def _latest(files: Sequence[Listed], library: RlLibrary | None) -> S3Uri | None:
    """Choose the library's latest checkpoint of the newest training."""
    trainings: dict[S3Uri, list[Listed]] = defaultdict(list)
    for file in files:
        if unmistakable([file.uri.key], library):
            trainings[training_folder(file.uri)].append(file)
    if not trainings:
        return None
    _, newest = max(trainings.items(), key=_age)
    by_key = {file.uri.key: file.uri for file in newest}
    found = unmistakable(by_key, library)
    return by_key[found] if found else None


def _only(files: Sequence[Listed], _: RlLibrary | None) -> S3Uri | None:
    """Choose the only file, by whatever name."""
    return files[0].uri if len(files) == 1 else None


def _age(training: tuple[S3Uri, Iterable[Listed]]) -> tuple[float, str]:
    """Order trainings by their latest file; two of the same second by name."""
    folder, files = training
    return max(file.modified.timestamp() for file in files), str(folder)


def _unclear(seen: Sequence[str], library: RlLibrary | None) -> str:
    """Say which files could be meant, and what to give."""
    more = f" and {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else ""
    others = [name for name in LIBRARIES if name != library and unmistakable(seen, name)]
    cure = f'"rlLibrary": "{others[0]}", ' if others and library else ""
    whose = f"{library}'s checkpoints" if library else "a library's checkpoints"
    return (
        f"it is not clear which policy to evaluate: {', '.join(seen[:_SHOWN])}{more} could be meant, and none is named "
        f"and numbered like {whose}; give {cure}policyS3Uri or policyPath"
    )
