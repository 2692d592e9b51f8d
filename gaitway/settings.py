"""What a deployer decides: `config.json`, and `cdk deploy -c <setting>=<value>` over it.

The file has the shape of VAMS's own configuration, so that the block can be copied from there:

    {"app": {"pipelines": {"useIsaacLabTraining": {"enabled": true, "acceptNvidiaEula": true}}}}

Every setting has a default that deploys, except the acceptance of the licence. `-c configFile=<path>` takes another
file; a setting given with `-c` wins over the file.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from gaitway.instance_prices import LOCAL
from gaitway.instance_types import INSTANCE_SIZES

LICENCE = "https://docs.omniverse.nvidia.com/platform/latest/common/NVIDIA_Omniverse_License_Agreement.html"
"""The address that Omniverse Kit itself prints when it asks for the acceptance."""
_BLOCK = ("app", "pipelines", "useIsaacLabTraining")
_CONFIG_FILE = "configFile"


MAX_GPUS_PER_NODE = 8
"""No instance has more."""
_MAX_ENVIRONMENTS_PER_QUEUE = 3
"""docs.aws.amazon.com/batch/latest/userguide/service_limits.html"""


class JobSize(NamedTuple):
    """What a job asks for, or each node of one."""

    gpus: int
    vcpus: int
    memory_mib: int
    max_nodes: int
    """How many nodes of this size Batch may start together."""


class SettingsError(Exception):
    """The settings are wrong: the message is one sentence that names the setting, its value and what is allowed."""


def _split(value: object) -> object:
    """A list on the command line is written with commas."""
    return value.split(",") if isinstance(value, str) else value


def _parse(value: object) -> object:
    """An object on the command line is written as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"must be a JSON object: {error}") from None


class Settings(BaseModel):
    """The settings of a deployment, in the words of the stacks; JSON has them in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    enabled: bool = True
    """False deploys nothing."""
    accept_nvidia_eula: bool = False
    """Whether the deployer accepts NVIDIA's licence for Isaac Sim; nothing is synthesised without."""
    auto_register_with_vams: bool = Field(default=False, alias="autoRegisterWithVAMS")
    """Whether to register the pipelines with VAMS, which has to be deployed in the same account and region."""
    vams_import_function_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """Name of VAMS's function that imports pipelines and workflows: look it up in the Lambda console; it holds
    `importGlobal`. To be given together with `autoRegisterWithVAMS`."""
    asset_buckets: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")], ...], BeforeValidator(_split)
    ] = ()
    """Buckets beside the deployment's own in which callers keep their files, as VAMS its assets: runs read and write
    there, too."""
    alarm_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    """Who hears of alarms: a subscription, which has to be confirmed. Null: the topic has none."""
    instance_prices: Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(_parse)] = Field(
        default_factory=dict
    )
    """USD per hour by instance type, in the place of the list prices in `instance_prices.json`: another region's, or
    those of an agreement. `local` is a developer's machine."""
    keep_warm_instance: bool = False
    """Whether one instance stays up, so that a job starts in seconds, not minutes; it costs as long as it runs."""
    use_spot: bool = False
    """Whether jobs of one node try Spot instances first, which are cheaper and may be taken away: the job then goes on
    from its newest checkpoint, on another machine. For as many numbers of GPUs as there is room for behind a queue, the
    fewest first; jobs of several nodes never do."""
    use_efa: bool | None = None
    """Whether the nodes of one job talk through Elastic Fabric Adapters where every instance type with as many GPUs has
    them. Null: in a new VPC. The containers are then in the VPC's default security group (AWS Batch takes no other for
    them), which has to let its members talk among themselves."""
    permissions_boundary: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/\S+$")] | None = None
    """ARN of the policy that bounds every role, where an account asks for one."""
    vpc_id: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]+$")] | None = None
    """An existing VPC with private subnets that reach the internet; null makes a new one."""
    instance_types: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_split)] = (
        "g6.2xlarge",
        "g6e.2xlarge",
        "g5.2xlarge",
        "g6.4xlarge",
        "g6e.4xlarge",
        "g5.4xlarge",
        "g6.12xlarge",
        "g6e.12xlarge",
        "g5.12xlarge",
    )
    """What Batch may start: the cheapest with as many GPUs as a job needs, and the next where that is sold out."""
    max_vcpus: Annotated[int, Field(ge=8, le=10_000)] = 96
    """How far Batch scales with instances of as many GPUs: twelve jobs of one GPU at a time on 2xlarge, two of four on
    12xlarge; and as far again for multi-node jobs. The account's quota of G instances may be lower."""
    container_image_uri: Annotated[str, Field(min_length=1, pattern=r"^\S+:[^\s:/]+$")] | None = None
    """Image of the job, with its tag or digest. Null: built from `container/Dockerfile` in the account deployed to."""
    job_vcpus: Annotated[int, Field(ge=1, le=192)] = 8
    """For each GPU of a node."""
    job_memory_mib: Annotated[int, Field(ge=512)] = 28 * 1024
    """For each GPU of a node. Less than 32 GiB, which a g6.2xlarge never has free."""
    job_gpus: Annotated[int, Field(ge=0, le=1)] = 1
    """GPUs for each process that trains; 0 where there are none (the embedded AWS): all jobs are then of one size."""
    heartbeat_seconds: Annotated[int, Field(ge=1, le=900)] = 300
    """How often a job tells the machines that it makes progress; the shortest of them waits 1500 seconds."""
    lambda_python: Literal["3.14", "host"] = "3.14"
    """Runtime of the Lambda functions; `host` takes version and platform of the interpreter that synthesises, where the
    functions run under that (the embedded AWS)."""
    tracing: bool = True
    """AWS X-Ray traces of functions and state machines."""

    @model_validator(mode="after")
    def _prices_are_of_instances(self) -> Self:
        known = (*INSTANCE_SIZES, LOCAL)
        for name in self.instance_prices:
            if name not in known:
                raise ValueError(f"instancePrices holds {name!r}, but allowed are {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _job_fits(self) -> Self:
        for name in self.instance_types:
            size = INSTANCE_SIZES.get(name)
            if size is None:
                raise ValueError(f"instanceTypes holds {name!r}, but allowed are {', '.join(INSTANCE_SIZES)}")
            for setting, asked, offered in (
                ("jobVcpus", self.job_vcpus, size.vcpus),
                ("jobMemoryMib", self.job_memory_mib, size.usable_memory_mib),
                ("jobGpus", self.job_gpus, size.gpus),
            ):
                if asked > offered:
                    raise ValueError(
                        f"{setting} is {asked}, but must be at most {offered}, which {name} of instanceTypes offers"
                    )
        if self.use_spot and not self.spot_gpu_counts:
            raise ValueError(
                f"useSpot is True, but instanceTypes has {len(self.gpu_counts)} different numbers of GPUs, and a queue "
                f"has room for {_MAX_ENVIRONMENTS_PER_QUEUE} compute environments: leave the types of one number out"
            )
        return self

    @model_validator(mode="after")
    def _vams_is_known(self) -> Self:
        if self.auto_register_with_vams and self.vams_import_function_name is None:
            raise ValueError(
                "autoRegisterWithVAMS is True, but vamsImportFunctionName is missing: name VAMS's function that "
                "imports pipelines and workflows"
            )
        if self.vams_import_function_name is not None and not self.auto_register_with_vams:
            raise ValueError(
                f"vamsImportFunctionName is {self.vams_import_function_name!r}, but autoRegisterWithVAMS is False: set "
                "that to true, or leave the name out"
            )
        return self

    @property
    def gpu_counts(self) -> tuple[int, ...]:
        """The numbers of GPUs that an instance may have, ascending: each has a compute environment of its own."""
        return tuple(sorted({INSTANCE_SIZES[name].gpus for name in self.instance_types}))

    @property
    def spot_gpu_counts(self) -> tuple[int, ...]:
        """Those of them that have another compute environment with Spot instances."""
        return self.gpu_counts[: _MAX_ENVIRONMENTS_PER_QUEUE - len(self.gpu_counts)] if self.use_spot else ()

    @property
    def efa_gpu_counts(self) -> tuple[int, ...]:
        """Those of them whose instances, as nodes of one job, have Elastic Fabric Adapters."""
        if self.use_efa is False or (self.use_efa is None and self.vpc_id is not None):
            return ()
        return tuple(
            gpus
            for gpus in self.gpu_counts
            if all(INSTANCE_SIZES[name].efa_interfaces for name in self.types_with(gpus))
        )

    def types_with(self, gpus: int) -> tuple[str, ...]:
        """Those of the instance types that have this number of GPUs."""
        return tuple(name for name in self.instance_types if INSTANCE_SIZES[name].gpus == gpus)

    @property
    def job_sizes(self) -> dict[int, JobSize]:
        """What a job asks for, by the processes per node that a request may name: those that fit an instance type."""
        sizes = {processes: self._job_size(processes) for processes in range(1, MAX_GPUS_PER_NODE + 1)}
        return {processes: size for processes, size in sizes.items() if size is not None}

    def _job_size(self, processes: int) -> JobSize | None:
        if self.job_gpus == 0:
            return JobSize(0, self.job_vcpus, self.job_memory_mib, self.max_vcpus // self.job_vcpus)
        vcpus, memory_mib = processes * self.job_vcpus, processes * self.job_memory_mib
        fitting = [
            size.vcpus
            for size in (INSTANCE_SIZES[name] for name in self.instance_types)
            if processes <= size.gpus and vcpus <= size.vcpus and memory_mib <= size.usable_memory_mib
        ]
        if not fitting:
            return None
        # A node has an instance to itself, and Batch goes beyond its limit by one instance at most:
        # docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html, .../allocation-strategies.html
        return JobSize(processes, vcpus, memory_mib, max(1, self.max_vcpus // min(fitting)))


def load_settings(context: Mapping[str, Any], root: Path) -> Settings:
    """Read the settings of a deployment.

    Args:
        context: The CDK's context: settings given with `-c`, among the CDK's own keys.
        root: Directory that the configuration file's path is relative to.

    Raises:
        SettingsError: A setting is unknown or wrong, or the licence is not accepted.
    """
    names = [field.alias or "" for field in Settings.model_fields.values()]
    path = root / str(context.get(_CONFIG_FILE, "config.json"))
    values = _read_block(path) | {name: context[name] for name in names if name in context}
    _refuse_misspelt(context, [*names, _CONFIG_FILE])
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_sentence(error, names)) from None
    if settings.enabled and not settings.accept_nvidia_eula:
        raise SettingsError(
            f"acceptNvidiaEula is false, but Isaac Sim is used under NVIDIA's licence: read {LICENCE} and, if you "
            f"accept it, set acceptNvidiaEula to true in {path.name} or pass -c acceptNvidiaEula=true."
        )
    return settings


def _read_block(path: Path) -> dict[str, Any]:
    """Read the settings' block of a configuration file."""
    try:
        block = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise SettingsError(f"The configuration file {path} is not JSON: {error}.") from None
    for depth, key in enumerate(_BLOCK, start=1):
        if not isinstance(block, dict) or set(block) != {key}:
            place = ".".join(_BLOCK[: depth - 1]) or path.name
            raise SettingsError(f"{place} must be an object with {key!r} and nothing else in {path}.")
        block = block[key]
    if not isinstance(block, dict):
        raise SettingsError(f"{'.'.join(_BLOCK)} must be an object in {path}, not {block!r}.")
    return block


def _refuse_misspelt(context: Mapping[str, Any], names: list[str]) -> None:
    """Find `-c acceptNvidaEula=true`. The CDK's own keys are known by their punctuation."""
    lowered = {name.lower(): name for name in names}
    for key in context:
        if key.isalnum() and key not in names:
            close = difflib.get_close_matches(key.lower(), lowered, n=1, cutoff=0.8)
            if close:
                raise SettingsError(
                    f"{key} is {context[key]!r}, but there is no such setting: meant {lowered[close[0]]}?"
                )


def _sentence(error: ValidationError, names: list[str]) -> str:
    """Put the first finding into words."""
    finding = error.errors()[0]
    if not finding["loc"]:
        return f"{finding['ctx']['error']}."
    key = str(finding["loc"][0])
    if finding["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed are {', '.join(names)}."
        return f"{'.'.join(_BLOCK)}.{key} is {finding['input']!r}, but there is no such setting: {hint}"
    allowed = finding["msg"].removeprefix("Input ")
    return f"{key} is {finding['input']!r}, but {allowed[0].lower()}{allowed[1:]}."
