"""Continue a training that has ended: its newest checkpoint, its iterations, and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from gaitway.contracts.artifacts import CHECKPOINTS, PARAMETERS
from gaitway.contracts.errors import InputNotFoundError, RequestError
from gaitway.contracts.inputs import AGENT_SETTINGS, CONTINUED_CHECKPOINT, CONTINUED_PARAMETERS, CUSTOM_ENVIRONMENT
from gaitway.contracts.run import RunRecord, RunSpec, RunState
from gaitway.contracts.workload import MAX_ITERATIONS, TrainingConfig
from gaitway.libraries import Counts, LibraryRecord, record_of
from lambdas.construct_run.policy import check_policy, check_settings

if TYPE_CHECKING:
    from gaitway.aws.run_table import RunTable
    from gaitway.contracts.inputs import InputFile
    from gaitway.contracts.model import S3Uri
    from gaitway.contracts.request import Request
    from lambdas.construct_run.inputs import Inputs

B = TypeVar("B", bound=BaseModel)

_FIELD = "trainingConfig.resumeFrom"
_OF_ONE_RUN = frozenset({"resume_checkpoint", "resume_from", "further_iterations", "live_view"})
"""Fields that say where a run begins, and whether people may look into it."""
_CUSTOM_ENVIRONMENT = frozenset({"custom_environment_path", "custom_environment_s3_uri"})


@dataclass(frozen=True)
class Continued:
    """A request that continues a run."""

    request: Request
    """With the settings of that run for what the request does not give, and the iterations in total."""
    inputs: dict[str, InputFile]
    """The checkpoint, and the parameters beside it."""


def continue_run(request: Request, runs: RunTable, inputs: Inputs) -> Continued:
    """Find what a request continues.

    The checkpoint is the newest of those that the older run has in S3: there it is whole, and this run's session can be
    allowed to read it, which is not so on EFS.

    Args:
        request: A request to train, with `resumeFrom`.
        runs: The run table.
        inputs: Reads the older run's outputs.

    Raises:
        RequestError: The run cannot be continued, or not with these settings.
        InputNotFoundError: It has left no checkpoint.
    """
    asked = request.training_config
    assert isinstance(asked, TrainingConfig)
    assert asked.resume_from is not None
    spec, older = _find(asked.resume_from, runs)
    _check_same(asked, older, "task", "rl_library")
    if spec.simulator is not None:
        # Also where none was requested: its checkpoint is that simulator's.
        older = older.model_copy(update={"simulator": spec.simulator})
        _check_same(asked, older, "simulator")
    training = _inherit(asked, older, without=_OF_ONE_RUN | _CUSTOM_ENVIRONMENT)
    package = spec.inputs.get(CUSTOM_ENVIRONMENT)
    if package is not None and _given(training).isdisjoint(_CUSTOM_ENVIRONMENT):
        training = training.model_copy(update={"custom_environment_s3_uri": package.uri})
    library = record_of(training.rl_library)
    _check_counting(training, older, library)

    checkpoint, number = _newest(spec.output_files, library, inputs)
    check_policy(_FIELD, CONTINUED_CHECKPOINT, checkpoint, training.rl_library, inputs)
    files = {CONTINUED_CHECKPOINT: checkpoint}
    # The networks are those of the checkpoint, whatever the overrides of this request leave out.
    settings = check_settings(_FIELD, checkpoint, training, inputs)
    if settings is not None:
        files[AGENT_SETTINGS] = settings
    texts = {}
    if library.steps_setting is not None:
        for name, file in CONTINUED_PARAMETERS.items():
            files[name] = inputs.resolve(_FIELD, spec.output_files / f"{PARAMETERS}{file}", [])
            texts[file] = inputs.read_text(files[name].uri)
    length = library.iteration_length(texts.get)
    if length is None:
        raise InputNotFoundError(
            f"{_FIELD} is {spec.run_id}, whose {checkpoint.uri.name} counts steps, and its params/agent.yaml does not "
            "say how many an iteration has: give the checkpoint as resumeCheckpoint, which begins at iteration 0"
        )
    done = int(library.completed(number, length))
    training = training.model_copy(update={"max_iterations": _total(training, done, spec.run_id)})
    compute = _inherit(request.compute_config, spec.compute)
    try:
        training.check_processes(compute.num_nodes, compute.gpus_per_node)
    except ValueError as error:
        raise RequestError(str(error)) from None
    request = request.model_copy(update={"training_config": training, "compute_config": compute})
    return Continued(request, files)


def _find(run_id: str, runs: RunTable) -> tuple[RunSpec, TrainingConfig]:
    record = runs.get(run_id)
    if record is None:
        raise RequestError(f"{_FIELD} is {run_id}, but this deployment has no such run: give the whole id of one")
    if not record.state.ended:
        raise RequestError(
            f"{_FIELD} is {run_id}, which is still {_activity(record)}: wait until it has ended, or cancel it"
        )
    spec = record.spec
    if spec is None:
        cause = f": {record.failure.cause}" if record.failure else ""
        raise RequestError(f"{_FIELD} is {run_id}, which failed before it trained anything{cause}")
    if not isinstance(spec.training, TrainingConfig):
        raise RequestError(f"{_FIELD} is {run_id}, whose mode is {spec.training.mode}, allowed: a training")
    return spec, spec.training


def _activity(record: RunRecord) -> str:
    return "being started" if record.state is RunState.ACCEPTED else record.state.value


def _check_same(asked: TrainingConfig, older: TrainingConfig, *fields: str) -> None:
    for field in fields:
        value, before = getattr(asked, field), getattr(older, field)
        if field in _given(asked) and value != before:
            raise RequestError(
                f"trainingConfig.{asked.alias_of(field)} is {value!r}, but {asked.resume_from} trained with "
                f"{before!r}: leave it out, or start a new run with resumeCheckpoint"
            )


def _check_counting(training: TrainingConfig, older: TrainingConfig, library: LibraryRecord) -> None:
    """Refuse settings with which the numbers in the checkpoints' names would count something else."""
    if library.counts is Counts.STEPS_OF_ALL:
        _check_same(training, older, "num_envs")
    setting = library.settings.steps
    if setting is None:
        return
    value, before = _overridden(setting, training), _overridden(setting, older)
    if value != before:
        raise RequestError(
            f"trainingConfig.hydraOverrides: {setting} is {value or 'not given'}, but {training.resume_from} trained "
            f"with {before or 'the default'}, by which {library.name} counts: give the same"
        )


def _overridden(setting: str, training: TrainingConfig) -> str | None:
    values = [override.lstrip("+").partition("=") for override in training.hydra_overrides]
    return next((value for key, _, value in reversed(values) if key == setting), None)


def _newest(output_files: S3Uri, library: LibraryRecord, inputs: Inputs) -> tuple[InputFile, int]:
    folder = output_files / CHECKPOINTS
    listed = inputs.list_folder(folder)
    numbered = [(number, uri.key, uri) for uri in listed if (number := library.number_of(uri.key)) is not None]
    if not numbered:
        found = f"only {', '.join(uri.name for uri in listed[:5])}" if listed else "nothing"
        raise InputNotFoundError(
            f"{_FIELD} names a run without a checkpoint to continue from: {folder} holds {found}, and not "
            f"what {library.name} saves at its interval. Start a new run instead"
        )
    number, _, uri = max(numbered, key=lambda one: one[:2])
    return inputs.resolve(_FIELD, uri, []), number


def _total(training: TrainingConfig, done: int, run_id: str) -> int:
    further = training.further_iterations
    total = training.max_iterations if further is None else done + further
    if total > MAX_ITERATIONS:
        raise RequestError(
            f"trainingConfig.furtherIterations is {further}, and {run_id} has {done} iterations, allowed: "
            f"{MAX_ITERATIONS} in total"
        )
    if total <= done:
        raise RequestError(
            f"trainingConfig.maxIterations is {total}, which {run_id} has trained already ({done} iterations): it "
            f"counts in total, so give more than {done}, or for 500 more furtherIterations: 500"
        )
    return total


def _inherit(asked: B, older: B, without: frozenset[str] = frozenset()) -> B:
    """Complete what is given with the values of an older run."""
    inherited = _given(older) - _given(asked) - without
    return asked.model_copy(update={field: getattr(older, field) for field in inherited})


def _given(config: BaseModel) -> set[str]:
    return {field for field in config.model_fields_set if getattr(config, field) is not None}
