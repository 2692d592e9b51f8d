"""The settings of a deployment: `config.json`, and `cdk deploy -c <setting>=<value>`, which overrides it.

The file has the form of VAMS's own configuration, so that the block can be copied from there:

    {"app": {"pipelines": {"useIsaacLabTraining": {"enabled": true, "acceptNvidiaEula": true}}}}

Every setting has a working default, except the acceptance of the licence. `-c configFile=<path>` reads another file; a
setting given with `-c` overrides the file.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from gaitway.contracts.backends import CLUSTERS, DEFAULT_BACKEND, Backend
from gaitway.contracts.documents import read_json
from gaitway.contracts.limits import HEARTBEAT_SECONDS
from gaitway.contracts.text import Like
from gaitway.instances.prices import LOCAL, ML
from gaitway.instances.types import INSTANCE_SIZES
from gaitway.libraries.simulators import NEEDS_EULA, SIMULATORS, Simulator
from gaitway.names import DEFAULT_DEPLOYMENT, Names, check_deployment_name

LICENCE = "https://docs.omniverse.nvidia.com/platform/latest/common/NVIDIA_Omniverse_License_Agreement.html"
"""The address that Omniverse Kit itself prints when it asks for the acceptance."""
_BLOCK = ("app", "pipelines", "useIsaacLabTraining")
_CONFIG_FILE = "configFile"


DEPLOYABLE_BACKENDS: tuple[Backend, ...] = ("batch", "sagemaker", "hyperpod-eks", "hyperpod-slurm")
"""Those for which there are stacks."""
Cluster = Literal["hyperpod-eks", "hyperpod-slurm"]
_EKS: Cluster = "hyperpod-eks"
_SLURM: Cluster = "hyperpod-slurm"
CONTROLLER_TYPE = "ml.m5.xlarge"
"""Of the controller of a Slurm cluster that the deployment makes: it runs slurmctld and the agent, and no job."""
_RESERVED = "ml.p"
"""docs.aws.amazon.com/sagemaker/latest/APIReference/API_ReservedCapacitySummary.html; of its types, Trainium has no
GPU."""
PRIORITY_SUFFIX = "-priority"
"""What HyperPod adds to the name of a priority class of a policy to name the class on the cluster:
docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-operate-console-ui-governance-cli.html"""
_NOT_MADE = "hyperpodClusters holds no cluster for it"
MAX_GPUS_PER_NODE = 8
"""No instance has more."""


class JobSize(NamedTuple):
    """What a job asks for, or each node of one."""

    gpus: int
    vcpus: int
    memory_mib: int
    max_nodes: int
    """How many nodes of this size Batch may start together."""
    instance_gpus: int
    """The number of GPUs of the instances that it waits for: the fewest that are enough."""


class SettingsError(Exception):
    """The settings are wrong: the message is one sentence that names the setting, its value and what is allowed."""


def _split(value: object) -> object:
    """A list on the command line is written with commas, or as JSON like in the file."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _parse(value, "list")
    return [part.strip() for part in value.split(",")] if value.strip() else []


def _parse_object(value: object) -> object:
    """Text that begins as an object is meant as one."""
    return _parse(value) if isinstance(value, str) and value.lstrip().startswith("{") else value


def _parse(value: object, kind: str = "object") -> object:
    """An object on the command line is written as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return read_json(value)
    except ValueError as error:
        raise ValueError(f"must be a JSON {kind}: {error}") from None


SubnetId = Annotated[str, Like(r"subnet-[0-9a-f]+", "the id of a subnet, as subnet-0123456789abcdef0")]
ZoneName = Annotated[
    str, Like(r"[a-z]{2}(-[a-z]+)+-\d+[a-z]", "the name of an Availability Zone of the region, as us-east-1b")
]


MlType = Annotated[str, Like(r"ml\.[a-z0-9-]+\.[a-z0-9]+", "a type of SageMaker, as ml.g6.12xlarge")]


_TAG_CHARACTERS = "letters, digits, spaces and _ . : / = + - @"
"""What every service takes: docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html, and
no longer than CodeBuild takes: docs.aws.amazon.com/codebuild/latest/APIReference/API_Tag.html"""
TagKey = Annotated[
    str,
    Like(r"(?!(?i:aws:))[\w .:/=+@-]{1,127}", f"a key of 1 to 127 of {_TAG_CHARACTERS}, not beginning with aws:"),
]
TagValue = Annotated[str, Like(r"[\w .:/=+@-]{0,255}", f"a value of up to 255 of {_TAG_CHARACTERS}")]


_ImageUri = Annotated[str, Like(r"\S+:[^\s:/]+", "the address of an image with its tag or digest")]
_ImageUris = Annotated[
    Annotated[_ImageUri, Tag("one")] | Annotated[dict[Simulator, _ImageUri], Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, dict) else "one"),
]


class Settings(BaseModel):
    """The settings of a deployment; in JSON their names are in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    enabled: bool = True
    """False deploys nothing."""
    deployment_name: Annotated[str, AfterValidator(check_deployment_name)] = DEFAULT_DEPLOYMENT
    """The beginning of every name in the deployment, so that one account can hold several: 2 to 32 lower-case letters,
    digits and hyphens. Another name means another deployment, with its own data and costs."""
    accept_nvidia_eula: bool = False
    """Whether the deployer accepts NVIDIA's licence for Isaac Sim; with `isaaclab-2` among the `simulators` nothing is
    synthesised otherwise."""
    auto_register_with_vams: bool = Field(default=False, alias="autoRegisterWithVAMS")
    """Whether to register the pipelines with VAMS, which has to be deployed in the same account and region."""
    vams_import_function_name: (
        Annotated[str, Like(r"[A-Za-z0-9_-]{1,64}", "the name of a function, not its ARN")] | None
    ) = None
    """Name of VAMS's function that imports pipelines and workflows: look it up in the Lambda console; it holds
    `importGlobal`. To be given together with `autoRegisterWithVAMS`."""
    asset_buckets: Annotated[
        tuple[Annotated[str, Like(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of a bucket, not its ARN")], ...],
        BeforeValidator(_split),
    ] = ()
    """Other buckets in which callers keep their files, such as VAMS's asset buckets: runs also read and write there."""
    asset_bucket_keys: Annotated[
        tuple[
            Annotated[
                str,
                Like(
                    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[a-z0-9-]+",
                    "the ARN of a key, not of an alias, as arn:aws:kms:us-east-1:123456789012:key/ID",
                ),
            ],
            ...,
        ],
        BeforeValidator(_split),
    ] = ()
    """KMS keys with which these buckets encrypt. The policy of such a key must leave permissions to IAM, as a new key's
    does."""
    alarm_email: Annotated[str, Like(r"[^@\s]+@[^@\s]+", "an e-mail address")] | None = None
    """Receives the alarms: the address gets an e-mail to confirm the subscription. Null: no subscription."""
    instance_prices: Annotated[
        dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], BeforeValidator(_parse)
    ] = Field(default_factory=dict)
    """USD per hour by instance type, instead of the list prices in `gaitway/instances/prices.json`: for another region,
    or an agreement with AWS. `local` is a developer's machine."""
    keep_warm_instance: bool = False
    """Whether one instance always runs, so that a job starts in seconds, not minutes; it is billed all the time."""
    use_spot: bool = False
    """Whether jobs with one node try Spot instances first. These are cheaper, but AWS may take them back: the job then
    resumes from its newest checkpoint, on another machine. Jobs with several nodes never use Spot."""
    use_efa: bool | None = None
    """Whether the nodes of one job use Elastic Fabric Adapters, if every instance type with as many GPUs has them.
    Null: only in a new VPC. The containers are then in the VPC's default security group (AWS Batch allows no other),
    which must let its members talk to each other."""
    permissions_boundary: (
        Annotated[
            str,
            Like(
                r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/\S+",
                "the ARN of a managed policy, as arn:aws:iam::123456789012:policy/boundary",
            ),
        ]
        | None
    ) = None
    """ARN of the permissions boundary of every role, if the account requires one."""
    tags: Annotated[dict[TagKey, TagValue], Field(max_length=40), BeforeValidator(_parse)] = Field(default_factory=dict)
    """Tags of all resources, and of the instances and volumes that AWS Batch starts, for cost reports. If they change,
    AWS Batch replaces the instances; nothing else is replaced."""
    vpc_id: Annotated[str, Like(r"vpc-[0-9a-f]+", "the id of a VPC, as vpc-0123456789abcdef0")] | None = None
    """An existing VPC with private subnets that reach the internet; null creates a new one. It cannot be changed after
    the first deployment, because everything is in it."""
    subnet_ids: Annotated[tuple[SubnetId, ...], BeforeValidator(_split)] = ()
    """Private subnets of the existing VPC for jobs and for functions that read the file system. Several in one zone are
    fine. The nodes of one job are in the zone of the first. Empty: all private ones."""
    availability_zones: Annotated[tuple[ZoneName, ...], Field(max_length=6), BeforeValidator(_split)] = ()
    """Zones of a new VPC, as `us-east-1b,us-east-1d`. They cannot be changed after the first deployment. The nodes of
    one job are in the first. Empty: the first two of the region. `gaitway doctor` shows which types a zone offers."""
    backends: Annotated[tuple[Backend, ...], Field(min_length=1), BeforeValidator(_split)] = (DEFAULT_BACKEND,)
    """What jobs can run on: a request chooses with `computeConfig.backend`. `batch` must be one of them."""
    sagemaker_instance_types: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_split)] = (
        "ml.g6.2xlarge",
        "ml.g6.12xlarge",
    )
    """Types that SageMaker may start, with `sagemaker` in `backends`: the first with as many GPUs as a job needs. The
    account needs a quota for training jobs of each; for Spot, another one."""
    sagemaker_max_instances: Annotated[int, Field(ge=1, le=1000)] = 4
    """The most instances of SageMaker that run at once, over all training jobs; others wait in the queue."""
    sagemaker_storage: Literal["efs", "checkpoints"] = "efs"
    """What a run on SageMaker lives on. `checkpoints`: the instance's own disk, where SageMaker synchronises the run's
    directory with S3; without EFS and VPC, and for one node only."""
    sagemaker_warm_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """How long SageMaker keeps an instance after a job for the next one with the same needs, which then starts in
    seconds; it is billed all that time. Not together with `useSpot`."""
    cluster_nodes: Annotated[int, Field(ge=1, le=64)] = 2
    """Nodes of a cluster in `backends`: a request for more is refused at once."""
    eks_team: (
        Annotated[str, Like(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", "at most 40 lower-case letters, digits and -")]
        | None
    ) = None
    """Team of HyperPod's task governance in whose namespace and queue jobs of `hyperpod-eks` are."""
    eks_instance_type: MlType | None = None
    """Instance type of the nodes that run jobs of `hyperpod-eks`."""
    eks_priority_class: (
        Annotated[str, Like(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "at most 63 lower-case letters, digits and -")]
        | None
    ) = None
    """Priority class of the cluster's policy for jobs of `hyperpod-eks`. Null: the policy's default."""
    eks_hugepages_mib: Annotated[int, Field(ge=0)] = 0
    """Memory of such a node that its AMI sets aside as pages of 2 MiB, for Elastic Fabric Adapters."""
    hyperpod_clusters: Annotated[tuple[Cluster, ...], BeforeValidator(_split)] = ()
    """Those of `hyperpod-eks` and `hyperpod-slurm` in `backends` whose HyperPod cluster the deployment makes, each in a
    stack of its own. Its nodes are billed from then on, busy or not. Empty: it makes none."""
    slurm_instance_type: MlType | None = None
    """Instance type of the nodes that run jobs of `hyperpod-slurm`, where the deployment makes its cluster."""
    training_plan_arn: (
        Annotated[
            str,
            Like(
                r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:training-plan/\S+",
                "the ARN of a training plan, as arn:aws:sagemaker:us-east-1:123456789012:training-plan/robots",
            ),
        ]
        | None
    ) = None
    """ARN of a SageMaker training plan, whose reserved instances are then the nodes that run jobs of the one cluster in
    `hyperpodClusters`. They are in one zone: it must be that of the nodes of one job. Null: on demand."""
    eks_cluster_arn: (
        Annotated[
            str,
            Like(
                r"arn:aws[a-z-]*:eks:[a-z0-9-]+:\d{12}:cluster/[0-9A-Za-z][\w-]{0,99}",
                "the ARN of an EKS cluster, as arn:aws:eks:us-east-1:123456789012:cluster/robots",
            ),
        ]
        | None
    ) = None
    """ARN of an existing EKS cluster in the VPC `vpcId`, with all that HyperPod needs in it: the nodes of the cluster
    that the deployment makes join it. Null: a new one."""
    eks_security_group_id: (
        Annotated[str, Like(r"sg-[0-9a-f]+", "the id of a security group, as sg-0123456789abcdef0")] | None
    ) = None
    """The cluster security group of the existing EKS cluster, by which nodes and control plane reach each other:
    `aws eks describe-cluster --name NAME --query cluster.resourcesVpcConfig.clusterSecurityGroupId` prints it."""
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
    """Types that Batch may start: the cheapest with as many GPUs as a job needs, or the next if that is sold out."""
    max_vcpus: Annotated[int, Field(ge=8, le=10_000)] = 96
    """The most vCPUs that Batch starts for each number of GPUs: enough for twelve jobs with one GPU on 2xlarge, or two
    with four on 12xlarge; and as many again for multi-node jobs. The account's quota of G instances may be lower."""
    container_image_uri: Annotated[_ImageUris | None, BeforeValidator(_parse_object)] = None
    """Image of the job, with its tag or digest; with several `simulators`, an object with the images of some or all of
    them, as `{"isaaclab-3": "registry.example/isaac:7"}`. Images that are not given are built from
    `container/Dockerfile` in the same account."""
    ngc_secret_arn: (
        Annotated[
            str,
            Like(
                r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+-[A-Za-z0-9]{6}",
                "the whole ARN of a secret, with its last six characters, as "
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:ngc-AbCdEf",
            ),
        ]
        | None
    ) = None
    """ARN of a secret in AWS Secrets Manager with an API key of NVIDIA's NGC, as text: the image's build uses it to
    log in to nvcr.io. Null: the base image is pulled without an account."""
    simulators: Annotated[tuple[Simulator, ...], Field(min_length=1), BeforeValidator(_split)] = (
        "isaaclab-3",
        "isaaclab-2",
    )
    """The simulators, each with an image and job definitions of its own: `isaaclab-3` (Isaac Lab 3.0), `isaaclab-2`
    (Isaac Lab 2.3.2 on Isaac Sim, for which NVIDIA's licence has to be accepted), and instead of the latter
    `embedded`, a cart-pole for tests. A request that none of them can run is refused at once."""
    job_vcpus: Annotated[int, Field(ge=1, le=192)] = 8
    """For each GPU of a node."""
    job_memory_mib: Annotated[int, Field(ge=512)] = 28 * 1024
    """For each GPU of a node. Less than 32 GiB, which a g6.2xlarge never has free."""
    job_gpus: Annotated[int, Field(ge=0, le=1)] = 1
    """GPUs for each process that trains; 0 without GPUs (the embedded AWS): all jobs then have the same size."""
    heartbeat_seconds: Annotated[int, Field(ge=1, le=900)] = HEARTBEAT_SECONDS
    """Seconds between two heartbeats of a job that makes progress; it is given up after 1500 seconds without one."""
    lambda_python: Literal["3.14", "host"] = "3.14"
    """Runtime of the Lambda functions; `host` is the version and platform of the interpreter that synthesises, for the
    embedded AWS, where functions run with it."""
    allow_live_view: bool = False
    """Whether requests may have `liveView`, and `gaitway view` reaches their simulations: the instances' role then gets
    what AWS Systems Manager's Session Manager needs, through which people with `ssm:StartSession` can enter them."""
    prometheus: bool = False
    """Whether Amazon Managed Service for Prometheus keeps and watches the metrics of runs on clusters: a workspace with
    rules and alerts, which go where alarms go. It is billed by the samples that it takes."""
    grafana: bool = False
    """Whether a workspace of Amazon Managed Grafana can query it: billed by each user in a month. The account needs IAM
    Identity Center."""
    tracing: bool = True
    """AWS X-Ray traces of functions and state machines."""

    @model_validator(mode="after")
    def _simulators_differ(self) -> Self:
        listed = ", ".join(self.simulators)
        for name in self.simulators:
            if self.simulators.count(name) > 1:
                raise ValueError(f"simulators holds {name} more than once: leave all but one out")
        if {"isaaclab-2", "embedded"} <= set(self.simulators):
            raise ValueError(
                f"simulators is {listed}, but the embedded simulator has the task names of isaaclab-2: name one of them"
            )
        if "embedded" in self.simulators and self.image_uri("embedded") is None:
            raise ValueError(
                f"simulators is {listed}, but containerImageUri has no image of embedded, and none is built: name one"
            )
        return self

    @model_validator(mode="after")
    def _images_are_of_simulators(self) -> Self:
        given, listed = self.container_image_uri, ", ".join(self.simulators)
        if isinstance(given, str) and len(self.simulators) > 1:
            raise ValueError(
                f"containerImageUri is {given!r}, but simulators is {listed}, and each has an image of its own: say "
                f'which one\'s it is, as {{"{self.simulators[0]}": "{given}"}}, or name one simulator'
            )
        for name in given if isinstance(given, dict) else ():
            if name not in self.simulators:
                raise ValueError(f"containerImageUri has an image of {name}, but simulators is {listed}: leave it out")
        return self

    @model_validator(mode="after")
    def _backends_can_be_deployed(self) -> Self:
        for name in self.backends:
            if name not in DEPLOYABLE_BACKENDS:
                raise ValueError(
                    f"backends holds {name!r}, but this version can deploy {', '.join(DEPLOYABLE_BACKENDS)} only"
                )
            if self.backends.count(name) > 1:
                raise ValueError(f"backends holds {name} more than once: leave all but one out")
        if "hyperpod-eks" in self.backends and (self.eks_team is None or self.eks_instance_type is None):
            raise ValueError(
                "backends holds hyperpod-eks, but eksTeam or eksInstanceType is missing: name the team in whose queue "
                "jobs wait, and the type of the cluster's nodes"
            )
        if DEFAULT_BACKEND not in self.backends:
            raise ValueError(
                f"backends is {', '.join(self.backends)}, but must hold {DEFAULT_BACKEND}, on which requests run that "
                "name no back end"
            )
        return self

    @model_validator(mode="after")
    def _clusters_can_be_made(self) -> Self:
        made = ", ".join(self.hyperpod_clusters)
        for name in self.hyperpod_clusters:
            if name not in self.clusters:
                raise ValueError(
                    f"hyperpodClusters holds {name}, but backends is {', '.join(self.backends)}: add {name} there, "
                    "so that requests may name it"
                )
            if self.hyperpod_clusters.count(name) > 1:
                raise ValueError(f"hyperpodClusters holds {name} more than once: leave all but one out")
        if self.hyperpod_clusters and self.lambda_python == "host":
            raise ValueError(
                f"hyperpodClusters is {made}, but lambdaPython is host, as on the embedded AWS, which has no SageMaker "
                "clusters, so that none is made there: leave it out; `gaitway local up --with eks` or `--with slurm` "
                "starts a cluster of this machine"
            )
        if _SLURM in self.hyperpod_clusters and self.slurm_instance_type is None:
            raise ValueError(
                f"hyperpodClusters holds {_SLURM}, but slurmInstanceType is missing: name the type of the nodes that "
                "run jobs"
            )
        if (
            _EKS in self.hyperpod_clusters
            and self.eks_priority_class is not None
            and not self.eks_priority_class.endswith(PRIORITY_SUFFIX)
        ):
            raise ValueError(
                f"eksPriorityClass is {self.eks_priority_class!r}, but hyperpodClusters holds {_EKS}, and on its "
                f"clusters HyperPod ends the name of a class with {PRIORITY_SUFFIX}: write "
                f"{self.eks_priority_class}{PRIORITY_SUFFIX}"
            )
        if self.training_plan_arn is not None and len(self.hyperpod_clusters) > 1:
            raise ValueError(
                f"trainingPlanArn is {self.training_plan_arn!r}, but hyperpodClusters is {made}, and one plan is for "
                "the nodes of one: leave one of them out"
            )
        for name in self.hyperpod_clusters if self.training_plan_arn is not None else ():
            type_ = self.node_type(name)
            if not type_.startswith(_RESERVED):
                raise ValueError(
                    f"trainingPlanArn is {self.training_plan_arn!r}, but the nodes of {name} are {type_}, and "
                    f"SageMaker reserves types that begin with {_RESERVED} only: name one, or leave the plan out"
                )
        for setting, value, used in (
            ("slurmInstanceType", self.slurm_instance_type, _SLURM in self.hyperpod_clusters),
            ("trainingPlanArn", self.training_plan_arn, bool(self.hyperpod_clusters)),
            ("eksClusterArn", self.eks_cluster_arn, _EKS in self.hyperpod_clusters),
            ("eksSecurityGroupId", self.eks_security_group_id, self.eks_cluster_arn is not None),
        ):
            if value is not None and not used:
                needed = "eksClusterArn is missing" if setting == "eksSecurityGroupId" else _NOT_MADE
                raise ValueError(f"{setting} is {value!r}, but {needed}, so that it has no use: leave it out")
        if self.eks_cluster_arn is not None and (self.vpc_id is None or self.eks_security_group_id is None):
            raise ValueError(
                f"eksClusterArn is {self.eks_cluster_arn!r}, but vpcId or eksSecurityGroupId is missing: name the VPC "
                "that this cluster is in, and its cluster security group"
            )
        return self

    @model_validator(mode="after")
    def _metrics_are_offered(self) -> Self:
        if self.prometheus and not self.clusters:
            raise ValueError(
                f"prometheus is True, but backends is {', '.join(self.backends)}, and only runs on "
                f"{' and '.join(CLUSTERS)} offer metrics to it: leave it out"
            )
        if self.prometheus and self.lambda_python == "host":
            raise ValueError(
                "prometheus is True, but lambdaPython is host, as on the embedded AWS, which has no Prometheus: leave "
                "it out; a Prometheus of this machine reads the same metrics"
            )
        if self.grafana and not self.prometheus:
            raise ValueError("grafana is True, but prometheus is False, so that it had nothing to show: set both")
        return self

    @model_validator(mode="after")
    def _training_jobs_fit(self) -> Self:
        for name in self.sagemaker_instance_types:
            if not name.startswith(ML) or name.removeprefix(ML) not in INSTANCE_SIZES:
                raise ValueError(
                    f"sagemakerInstanceTypes holds {name!r}, but allowed are "
                    f"{', '.join(f'{ML}{size}' for size in INSTANCE_SIZES)}"
                )
        if self.sagemaker_warm_seconds and self.use_spot:
            # docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html
            raise ValueError(
                f"sagemakerWarmSeconds is {self.sagemaker_warm_seconds}, but useSpot is True, and SageMaker keeps no "
                "Spot instance: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _prices_are_of_instances(self) -> Self:
        known = (*INSTANCE_SIZES, *(f"{ML}{size}" for size in INSTANCE_SIZES), LOCAL)
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
        return self

    @model_validator(mode="after")
    def _secret_is_used(self) -> Self:
        if self.ngc_secret_arn is not None and NEEDS_EULA not in self.built_simulators:
            why = "containerImageUri is given" if NEEDS_EULA in self.simulators else f"simulators lacks {NEEDS_EULA}"
            raise ValueError(
                f"ngcSecretArn is {self.ngc_secret_arn!r}, but {why}, so that nothing is pulled from nvcr.io: leave it "
                "out"
            )
        return self

    @model_validator(mode="after")
    def _keys_are_of_buckets(self) -> Self:
        if self.asset_bucket_keys and not self.asset_buckets:
            raise ValueError(
                f"assetBucketKeys is {', '.join(self.asset_bucket_keys)}, but assetBuckets is empty: name the buckets "
                "that encrypt with these keys"
            )
        return self

    @model_validator(mode="after")
    def _tags_differ(self) -> Self:
        # docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html: the keys of a role's tags are the same in any case.
        keys: dict[str, str] = {}
        for key in self.tags:
            if key.lower() in keys:
                raise ValueError(
                    f"tags holds {keys[key.lower()]!r} and {key!r}, which IAM takes as one key: leave one out"
                )
            keys[key.lower()] = key
        return self

    @model_validator(mode="after")
    def _subnets_are_in_the_vpc(self) -> Self:
        if self.subnet_ids and self.vpc_id is None:
            raise ValueError(
                f"subnetIds is {', '.join(self.subnet_ids)}, but vpcId is missing: name the VPC that these subnets are "
                "in, or leave subnetIds out to get a new VPC"
            )
        if self.availability_zones and self.vpc_id is not None:
            raise ValueError(
                f"availabilityZones is {', '.join(self.availability_zones)}, but vpcId is {self.vpc_id!r}, and an "
                "existing VPC has its zones already: choose among its subnets with subnetIds"
            )
        for setting, names in (("subnetIds", self.subnet_ids), ("availabilityZones", self.availability_zones)):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{setting} holds {name} more than once: leave all but one out")
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
    def names(self) -> Names:
        """What the deployment's parts are called."""
        return Names(self.deployment_name)

    def image_uri(self, simulator: Simulator) -> str | None:
        """Return the image that is given for a simulator; None if it is built."""
        given = self.container_image_uri
        return given.get(simulator) if isinstance(given, dict) else given

    @property
    def built_simulators(self) -> tuple[Simulator, ...]:
        """Those of the simulators whose images are built."""
        return tuple(simulator for simulator in self.simulators if self.image_uri(simulator) is None)

    @property
    def further_backends(self) -> dict[Backend, dict[int, JobSize]]:
        """The back ends beside AWS Batch, with the sizes of their jobs as `job_sizes` has them."""
        sizes: dict[Backend, dict[int, JobSize]] = {
            name: {processes: self._on_cluster(size) for processes, size in self.job_sizes.items()}
            for name in self.clusters
        }
        if "sagemaker" in self.backends:
            sizes["sagemaker"] = self._training_sizes
        return sizes

    @property
    def sagemaker_types(self) -> dict[int, str]:
        """The type that SageMaker starts, by the processes per node that a request may name."""
        found = {}
        for processes in range(1, MAX_GPUS_PER_NODE + 1):
            for name in self.sagemaker_instance_types:
                if INSTANCE_SIZES[name.removeprefix(ML)].gpus >= processes:
                    found[processes] = name
                    break
        return found

    @property
    def _training_sizes(self) -> dict[int, JobSize]:
        sizes = {processes: INSTANCE_SIZES[name.removeprefix(ML)] for processes, name in self.sagemaker_types.items()}
        # A training job has its instances to itself. Several nodes share the run's directory.
        max_nodes = self.sagemaker_max_instances if self.sagemaker_storage == "efs" else 1
        return {
            processes: JobSize(processes, size.vcpus, size.usable_memory_mib, max_nodes, size.gpus)
            for processes, size in sizes.items()
        }

    @property
    def sagemaker_mounts(self) -> bool:
        """Whether SageMaker mounts the file system of runs."""
        return "sagemaker" in self.backends and self.sagemaker_storage == "efs"

    @property
    def sagemaker_synchronises(self) -> bool:
        """Whether SageMaker synchronises the directories of its runs with S3."""
        return "sagemaker" in self.backends and self.sagemaker_storage == "checkpoints"

    @property
    def clusters(self) -> tuple[Backend, ...]:
        """Those of the back ends whose jobs an agent beside their scheduler submits."""
        return tuple(name for name in self.backends if name in CLUSTERS)

    def node_type(self, cluster: Cluster) -> str:
        """Return the instance type of the nodes of a cluster that the deployment makes."""
        name = self.eks_instance_type if cluster == _EKS else self.slurm_instance_type
        assert name is not None
        return name

    def cluster_instances(self, cluster: Cluster) -> dict[str, int]:
        """Return the instances of a cluster that the deployment makes: how many, by type."""
        counts = {self.node_type(cluster): self.cluster_nodes}
        if cluster == _SLURM:
            counts[CONTROLLER_TYPE] = counts.get(CONTROLLER_TYPE, 0) + 1
        return counts

    @property
    def eks_efa_interfaces(self) -> int:
        """How many Elastic Fabric Adapters a node of the EKS cluster has; 0 for a type that is not known."""
        size = INSTANCE_SIZES.get((self.eks_instance_type or "").removeprefix("ml."))
        return size.efa_interfaces if size else 0

    def _on_cluster(self, size: JobSize) -> JobSize:
        """A cluster has as many nodes as it has, and every job may use all of them."""
        return size._replace(max_nodes=self.cluster_nodes)

    @property
    def pinned_simulators(self) -> tuple[Simulator, ...]:
        """The simulators whose images are built here from pins alone, so that all that they hold is known."""
        return tuple(simulator for simulator in self.built_simulators if SIMULATORS[simulator].pins is not None)

    @property
    def gpu_counts(self) -> tuple[int, ...]:
        """The numbers of GPUs that an instance may have and some job waits for, ascending: each has its own queues."""
        return tuple(sorted({size.instance_gpus for size in self.job_sizes.values()}))

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
        # Where there are no GPUs, all jobs are of one size, and wait where they would wait with GPUs.
        share = processes if self.job_gpus else 1
        vcpus, memory_mib = share * self.job_vcpus, share * self.job_memory_mib
        types = [INSTANCE_SIZES[name] for name in self.instance_types]
        most = max(size.gpus for size in types)
        fitting = [
            size
            for size in types
            if (processes if self.job_gpus else min(processes, most)) <= size.gpus
            and vcpus <= size.vcpus
            and memory_mib <= size.usable_memory_mib
        ]
        if not fitting:
            return None
        instance_gpus = min(size.gpus for size in fitting)
        # A node has an instance to itself, and Batch goes beyond its limit by one instance at most:
        # docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html, .../allocation-strategies.html
        node_vcpus = min(size.vcpus for size in fitting if size.gpus == instance_gpus) if self.job_gpus else vcpus
        max_nodes = max(1, self.max_vcpus // node_vcpus)
        return JobSize(processes * self.job_gpus, vcpus, memory_mib, max_nodes, instance_gpus)


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
    if settings.enabled and NEEDS_EULA in settings.simulators and not settings.accept_nvidia_eula:
        raise SettingsError(
            f"acceptNvidiaEula is false, but Isaac Sim is used under NVIDIA's licence: read {LICENCE} and, if you "
            f"accept it, set acceptNvidiaEula to true in {path.name} or pass -c acceptNvidiaEula=true. Isaac Lab 3.0 "
            "alone does without Isaac Sim: -c simulators=isaaclab-3."
        )
    return settings


def _read_block(path: Path) -> dict[str, Any]:
    """Read the settings' block of a configuration file."""
    try:
        block = read_json(path.read_bytes())
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
    allowed = finding["msg"].removeprefix("Input ").removeprefix("Value error, ")
    is_item = any(isinstance(part, int) for part in finding["loc"])
    return f"{key} {'holds' if is_item else 'is'} {finding['input']!r}, but {allowed[0].lower()}{allowed[1:]}."
