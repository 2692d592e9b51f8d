"""What a request may ask for: one model for each workload, selected by its `mode`.

Everything else that differs between workloads is in `gaitway.workloads`; CONTRIBUTING.md says how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from gaitway.contracts.inputs import (
    CUSTOM_ENVIRONMENT,
    POLICY,
    RESUME_CHECKPOINT,
    AssetPath,
    AssetPaths,
    Input,
    S3UriFields,
    given_inputs,
)
from gaitway.contracts.model import SENT, Received, RunId, S3UriField, UserModel
from gaitway.contracts.overrides import ALSO_IN_REQUEST, OneSetting, key_of
from gaitway.contracts.packages import SUFFIXES, has_package_suffix
from gaitway.contracts.spellings import Truth, Whole, is_given, without_empty
from gaitway.contracts.text import Like
from gaitway.libraries import RlLibrary, record_of
from gaitway.libraries.simulators import Simulator

HydraOverride = Annotated[str, Field(max_length=1024), OneSetting()]

MAX_ITERATIONS = 10_000_000

NumEnvs = Annotated[int, Field(ge=1, le=1_000_000), Whole()]

RANDOM_SEED = -1
"""Isaac Lab's scripts draw a seed for this one; here construct_run does, so that every attempt has the same."""
MAX_SEED = 2**32 - 1
"""NumPy takes no larger one, and every library seeds it:
numpy.org/doc/stable/reference/random/generated/numpy.random.seed.html"""


class WorkloadConfig(UserModel, Received):
    """The fields that every workload has."""

    only_here: ClassVar[Mapping[str, str]] = {}
    """Fields that are refused in a request for another workload, and what they name. All other fields of a workload are
    ignored there, so that one template may serve several workloads."""

    mode: str
    """What to do: `train` a policy, or `evaluate` one, which Isaac Lab calls `play`."""
    task: Annotated[
        str,
        Field(min_length=1, max_length=128),
        Like(r"(?!-)[A-Za-z0-9_.:/-]+", "a name of letters, digits and _ . : / -, not with - at its beginning"),
    ] = "Isaac-Cartpole-v0"
    """Task name as registered in Gymnasium."""
    simulator: Simulator | None = None
    """Simulator that runs the task. When null, its name decides: with a version (`-v0`) it means Isaac Lab 2.3.2,
    without one Isaac Lab 3.0; where that is not deployed, another one runs the task, and the run says so."""
    num_envs: NumEnvs
    """Parallel environments; by default 4096 to train and 100 to evaluate."""
    seed: Annotated[int, Field(ge=RANDOM_SEED, le=MAX_SEED), Whole()] | None = None
    """The library's own default when null; -1 for a random one, which is recorded and kept when the run resumes."""
    hydra_overrides: list[HydraOverride] = Field(default_factory=list)
    """Passed to Isaac Lab unchanged, for example `agent.algorithm.learning_rate=0.001`."""
    record_video: Annotated[bool, Truth()] = False
    """Whether to record videos."""
    live_view: Annotated[bool, Truth()] = False
    """Whether `gaitway view` can look into the simulation while it runs. Isaac Lab 3 alone has that, on one node of AWS
    Batch."""
    enable_cameras: Annotated[bool, Truth()] | None = None
    """Whether to render for the task's cameras, which costs speed. When null, the task's name decides; and if Isaac Lab
    then says that the task needs cameras, it is started again with them."""
    custom_environment_path: Annotated[AssetPaths | None, Input(CUSTOM_ENVIRONMENT)] = None
    """Package that registers further tasks (.tar.gz, .tgz, .zip, .whl), relative to the asset; or a list of them."""
    custom_environment_s3_uri: Annotated[
        S3UriFields | None, Input(CUSTOM_ENVIRONMENT), Field(alias="customEnvironmentS3Uri")
    ] = None
    """Package that registers further tasks (.tar.gz, .tgz, .zip, .whl); or a list of them."""
    install_dependencies: Annotated[bool, Truth()] = False
    """Whether to install what the custom environment depends on and the image lacks, from the package index, for this
    run alone."""

    @property
    def library(self) -> RlLibrary | None:
        """The RL library; None if the workload has none."""
        return None

    def check_processes(self, num_nodes: int, gpus_per_node: int) -> None:
        """Refuse more nodes or GPUs than the workload can use.

        Raises:
            ValueError: Names the field of `computeConfig`, its value and what is allowed.
        """
        if self.live_view and num_nodes > 1:
            # Containers of several nodes have networks of their own, and 127.0.0.1 of an instance is not theirs:
            # docs.aws.amazon.com/batch/latest/userguide/networking-modes-jobs.html
            raise ValueError(
                f"computeConfig.numNodes is {num_nodes}, but trainingConfig.liveView is true, which shows a job of one "
                "node, allowed: 1"
            )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_given(cls, data: object) -> object:
        return without_empty(cls, data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _each_setting_once(self, info: ValidationInfo) -> Self:
        if info.context is SENT:
            values: dict[str, str] = {}
            for override in self.hydra_overrides:
                if values.setdefault(key_of(override), override) != override:
                    raise ValueError(f"hydraOverrides has {key_of(override)} twice with different values: keep one")
        return self

    @model_validator(mode="after")
    def _overrides_agree_with_fields(self, info: ValidationInfo) -> Self:
        if info.context is SENT:
            given = {self.alias_of(name): getattr(self, name) for name in type(self).model_fields}
            for override in self.hydra_overrides:
                field = ALSO_IN_REQUEST.get(key_of(override), "")
                value = given.get(field)
                if value is not None and override.partition("=")[2].strip() != str(value):
                    raise ValueError(f"hydraOverrides has {override}, but {field} is {value}: give one of them")
        return self

    @model_validator(mode="after")
    def _one_archive(self) -> Self:
        fields = ("custom_environment_path", "custom_environment_s3_uri")
        self._at_most_one(*fields)
        for given in given_inputs(self):
            if given.field in fields and not has_package_suffix(str(given.path)):
                raise ValueError(f"{given.place} is {str(given.path)!r}, allowed: {', '.join(SUFFIXES)}")
        return self

    @model_validator(mode="after")
    def _videos_need_cameras(self) -> Self:
        if self.record_video and self.enable_cameras is False:
            raise ValueError("recordVideo is true, but enableCameras is false: a video needs cameras")
        return self

    @model_validator(mode="after")
    def _says_its_mode(self) -> Self:
        # Mark the mode as given, so that it is written even if only given fields are: without it, this would be read as
        # another workload.
        self.model_fields_set.add("mode")
        return self

    def _at_most_one(self, *fields: str) -> None:
        given = [self.alias_of(field) for field in fields if getattr(self, field) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given, allowed: one of them")


class LibraryConfig(WorkloadConfig):
    """The fields of a workload that has an RL library."""

    rl_library: RlLibrary = "rsl_rl"
    """Library that trains, with the settings of the task for it; to evaluate, the library of the policy, which is known
    from its checkpoint where none is given."""

    @property
    def library(self) -> RlLibrary | None:
        """The RL library."""
        return self.rl_library


class TrainingConfig(LibraryConfig):
    """What to train, and how."""

    only_here: ClassVar[Mapping[str, str]] = {
        "resume_checkpoint": "weights to train from",
        "resume_from": "a training to continue",
    }

    mode: Literal["train"] = "train"
    """Train a policy."""
    num_envs: NumEnvs = 4096
    max_iterations: Annotated[int, Field(ge=1, le=MAX_ITERATIONS), Whole()] = 1500
    """Iterations in total, however often the run is resumed, with those of the run that it continues."""
    further_iterations: Annotated[int, Field(ge=1, le=MAX_ITERATIONS), Whole()] | None = None
    """With resumeFrom: iterations to train after those of that run, whatever maxIterations is."""
    checkpoint_interval: Annotated[int, Field(ge=1), Whole()] | None = None
    """Iterations between checkpoints; the library's own default when null."""
    resume_checkpoint: Annotated[AssetPath | None, Input(RESUME_CHECKPOINT)] = None
    """Weights to start from: S3 URI, or path relative to the asset."""
    resume_from: RunId | None = None
    """Training that has ended, and that this run continues: with its optimiser, normalisers and iterations."""

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        self._at_most_one("resume_checkpoint", "resume_from")
        if self.further_iterations is not None and self.resume_from is None:
            raise ValueError(
                f"furtherIterations is {self.further_iterations}, but resumeFrom names no run to continue: give "
                "resumeFrom, or maxIterations instead"
            )
        return self

    def check_processes(self, num_nodes: int, gpus_per_node: int) -> None:
        """Refuse several processes if the library trains in one.

        Raises:
            ValueError: Names the field, its value and what is allowed.
        """
        super().check_processes(num_nodes, gpus_per_node)
        library = record_of(self.rl_library)
        for field, processes in (("numNodes", num_nodes), ("gpusPerNode", gpus_per_node)):
            if processes > 1 and not library.trains_in_several_processes:
                raise ValueError(
                    f"computeConfig.{field} is {processes}, but {library.name} trains in one process, allowed: 1; give "
                    "trainingConfig.rlLibrary another library to train in several"
                )


class EvaluationConfig(LibraryConfig):
    """What to evaluate, and how."""

    only_here: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("checkpoint_path", "policy_s3_uri", "policy_path"), "a policy to evaluate"
    )

    mode: Literal["evaluate"] = "evaluate"
    """Evaluate a policy."""
    num_envs: NumEnvs = 100
    num_episodes: Annotated[int, Field(ge=1, le=1_000_000), Whole()] = 50
    """Episodes to evaluate."""
    steps_per_episode: Annotated[int, Field(ge=1, le=1_000_000), Whole()] = 1000
    """An episode ends after this number of steps at the latest."""
    checkpoint_path: Annotated[AssetPath | None, Input(POLICY)] = None
    """Policy to evaluate, relative to the asset."""
    policy_s3_uri: Annotated[S3UriField | None, Input(POLICY), Field(alias="policyS3Uri")] = None
    """Policy to evaluate."""
    policy_path: Annotated[AssetPath | None, Input(POLICY)] = None
    """Policy to evaluate, relative to the asset."""

    def check_processes(self, num_nodes: int, gpus_per_node: int) -> None:
        """Refuse more than one process.

        Raises:
            ValueError: Names the field, its value and what is allowed.
        """
        super().check_processes(num_nodes, gpus_per_node)
        if num_nodes > 1:
            raise ValueError(f"computeConfig.numNodes is {num_nodes}, but an evaluation runs on one node")
        if gpus_per_node > 1:
            raise ValueError(f"computeConfig.gpusPerNode is {gpus_per_node}, but an evaluation runs on one GPU")

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        self._at_most_one("checkpoint_path", "policy_s3_uri", "policy_path")
        return self


CONFIGS: dict[str, type[WorkloadConfig]] = {"train": TrainingConfig, "evaluate": EvaluationConfig}
"""By mode; a request without a mode is the first. In each of them, every field has a default."""


_OTHER_NAMES = {"play": "evaluate"}
"""What else a mode is called: Isaac Lab's scripts are train.py and play.py."""


def same_input(key: str) -> frozenset[str]:
    """List the keys of a request that name the same input file as this one, itself among them; empty if none does."""
    names = {
        config.alias_of(field): marker.name
        for config in CONFIGS.values()
        for field, info in config.model_fields.items()
        for marker in info.metadata
        if isinstance(marker, Input)
    }
    return frozenset(other for other, name in names.items() if name == names.get(key))


def known_keys() -> list[str]:
    """List the keys that a request may have in `trainingConfig`, whatever its mode."""
    return list(dict.fromkeys(config.alias_of(name) for config in CONFIGS.values() for name in config.model_fields))


def _known_mode(mode: str) -> str:
    if mode not in CONFIGS:
        raise ValueError(f"must be {_modes()}")
    return mode


class _Modes:
    """JSON Schema of a mode: lists the allowed values."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": list(CONFIGS)}


Mode = Annotated[str, AfterValidator(_known_mode), _Modes()]


def read_config(value: object, context: object = None) -> WorkloadConfig:
    """Read the config of the workload that its `mode` names.

    Args:
        value: A JSON object; `mode` may be absent.
        context: Context of the validation: see `gaitway.contracts.model`.

    Raises:
        ValueError: It is not a JSON object, or has a field that only another workload accepts.
        ValidationError: Names every wrong field.
    """
    if not isinstance(value, dict):
        # A ValueError, because pydantic turns only that into a validation error.
        raise ValueError("a JSON object")  # noqa: TRY004
    mode = value.get("mode")
    mode = _OTHER_NAMES.get(mode, mode) if isinstance(mode, str) else mode
    mode = mode if is_given(mode) else next(iter(CONFIGS))
    config = CONFIGS.get(mode) if isinstance(mode, str) else None
    if config is None:
        unknown = InitErrorDetails(type="literal_error", loc=("mode",), input=mode, ctx={"expected": _modes()})
        raise ValidationError.from_exception_data("trainingConfig", [unknown])
    value = value | {"mode": mode}
    accepted = _validated(_with_fields_of_others(config, *CONFIGS.values()), value, context)
    for other in CONFIGS.values():
        for field, what in other.only_here.items():
            if field not in config.model_fields and getattr(accepted, field) is not None:
                raise ValueError(f"{other.alias_of(field)} names {what}, but mode is {mode}")
    own = set(config.model_fields) | {config.alias_of(name) for name in config.model_fields}
    return _validated(config, {key: part for key, part in value.items() if key in own}, context)


def _validated(config: type[WorkloadConfig], value: dict[str, Any], context: object) -> WorkloadConfig:
    """Validate it, by the keys of JSON alone if a user or a caller has written it."""
    if context is SENT:
        return config.model_validate(value, context=context, by_alias=True, by_name=False)
    return config.model_validate(value, context=context)


@lru_cache
def _with_fields_of_others(config: type[WorkloadConfig], *all_: type[WorkloadConfig]) -> type[WorkloadConfig]:
    """Make the model that checks a request for one workload, and also the values of other workloads' fields."""
    others = [other for other in all_ if other is not config]
    return type(f"Accepted{config.__name__}", (config, *others), {"__module__": __name__})


def _modes() -> str:
    *first, last = (repr(mode) for mode in CONFIGS)
    return f"{', '.join(first)} or {last}"


class _ByMode:
    """Annotation of a field that holds the config of any workload."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object, inner: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
            return inner(value if isinstance(value, WorkloadConfig) else read_config(value, info.context))

        return core_schema.with_info_wrap_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the fields of all workloads as those of one object, as `read_config` accepts them."""
        del schema, handler
        properties: dict[str, Any] = {}
        for config in CONFIGS.values():
            properties = config.model_json_schema(by_alias=True)["properties"] | properties
        first = next(iter(CONFIGS))
        properties["mode"] = {"default": first, "enum": [*CONFIGS, *_OTHER_NAMES], "type": "string"}
        ordered = {key: properties[key] for key in known_keys()}
        return {"title": "TrainingConfig", "type": "object", "additionalProperties": False, "properties": ordered}


AnyConfig = Annotated[SerializeAsAny[WorkloadConfig], _ByMode()]
"""The config of any workload, as a model's field."""
