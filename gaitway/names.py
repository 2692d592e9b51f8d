"""What everything is called that a deployment names itself: stacks, command line and bench ask here.

A name is a plain string, so that one stack may use what another has made without importing it: CloudFormation refuses
to change or to remove what another stack imports
(docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

DEFAULT_DEPLOYMENT = "gaitway"
MAX_CHARACTERS = 32
"""A function's name, the shortest that AWS allows, has 64, and ours take up to 19 of them:
docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""
STACKS = ("Network", "Storage", "Compute", "Pipeline")
"""The stacks, in the order in which they depend on each other."""
FURTHER_STACKS = ("Eks", "HyperpodEks", "HyperpodSlurm", "Prometheus")
"""Stacks that a deployment has beside them if its settings ask for it, in the same order."""

JOB_TAG = "GaitwayDeployment"
"""Key of a job's tag with the name of its deployment."""

SYNCHRONISED_RUNS = "sagemaker/runs/"
"""Prefix in the asset bucket with which SageMaker synchronises the directories of runs, if they are not on EFS."""
CHECKPOINTS_PATH = "/opt/ml/checkpoints"
"""Where these directories are in its containers."""

Stack = Literal["Network", "Storage", "Compute", "Pipeline"]

_CALLED_BY_VAMS = "vams"
"""VAMS may call every function of an account that has this in its name."""
_RESERVED = (
    # docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
    "aws",
    "ssm",
    # docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    "amzn-s3-demo-",
    "sthree-",
)
"""Beginnings that parameters and buckets must not have, whose names begin with the deployment's."""
_ALLOWED = re.compile(rf"(?=.{{2,{MAX_CHARACTERS}}}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")


def cluster_stack(cluster: str) -> str:
    """Name the kind of stack that makes a cluster: `HyperpodEks` for `hyperpod-eks`."""
    return "".join(part.title() for part in cluster.split("-"))


def check_deployment_name(name: str) -> str:
    """Return a deployment's name.

    Raises:
        ValueError: It is none; the message says what is allowed.
    """
    if not _ALLOWED.fullmatch(name):
        raise ValueError(
            f"must have 2 to {MAX_CHARACTERS} lower-case letters, digits and single hyphens, begin with a letter and "
            "not end with a hyphen"
        )
    for beginning in _RESERVED:
        if name.startswith(beginning):
            raise ValueError(f"must not begin with {beginning!r}: AWS refuses parameters and buckets with such names")
    if _CALLED_BY_VAMS in name:
        raise ValueError(f"must not hold {_CALLED_BY_VAMS!r}: VAMS may call every function with that in its name")
    return name


@dataclass(frozen=True)
class Names:
    """The names of a deployment.

    No two deployments have a name in common: what follows the deployment's name is never the end of another such name
    of the same kind, so that `a-b` with `c` cannot be `a` with `b-c`.

    Args:
        deployment: The beginning of all of them.
    """

    deployment: str = DEFAULT_DEPLOYMENT

    @property
    def is_default(self) -> bool:
        """Whether it is the deployment that one gets without naming it."""
        return self.deployment == DEFAULT_DEPLOYMENT

    @property
    def stacks(self) -> tuple[str, ...]:
        """Names of the stacks, in the order of their dependencies."""
        return tuple(self.stack(stack) for stack in STACKS)

    @property
    def further_stacks(self) -> tuple[str, ...]:
        """Names of the stacks that not every deployment has, in the order of their dependencies."""
        return tuple(self.stack(stack) for stack in FURTHER_STACKS)

    def stack(self, stack: Stack | str) -> str:
        """Name of a stack in CloudFormation; in the CDK it is `Gaitway` and its kind in every deployment."""
        return f"Gaitway{stack}" if self.is_default else self.of(stack.lower())

    def function(self, verb: str) -> str:
        """Name of the function of a verb: `construct_run`.

        VAMS can call only functions with `vams` in their names, and it calls launch.
        """
        name = self.of(verb.replace("_", "-"))
        return f"{_CALLED_BY_VAMS}-{name}" if verb == "launch" else name

    def machine(self, definition: str) -> str:
        """Name of the state machine of a definition: `pipeline`, `workflow`."""
        return self.of(definition)

    def logs(self, writer: str) -> str:
        """Name of a log group: for a function by its name, or for `job` or `vpc`."""
        return f"/{self.deployment}/{writer}"

    def machine_logs(self, definition: str) -> str:
        """Name of a state machine's log group.

        Log deliveries to other names fill up a policy of limited size that the whole account shares:
        docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
        """
        return f"/aws/vendedlogs/states/{self.machine(definition)}"

    @property
    def job_logs(self) -> str:
        """Name of the log group of the jobs."""
        return self.logs("job")

    @property
    def job_tags(self) -> dict[str, str]:
        """Name of a job: its id is generated, so that a policy can recognise it only by a tag."""
        return {JOB_TAG: self.deployment}

    def job_definition(self, simulator: str) -> str:
        """Name of the definition of a simulator's jobs with one node; without a revision it means the newest.

        Without the simulator's name it is that of a deployment with one image, before there was a choice: functions of
        that version find it while an update goes on.
        """
        return self._of_simulator("single-node", simulator)

    def multi_node_job_definition(self, simulator: str) -> str:
        """Name of the definition of a simulator's jobs with several nodes; also without a revision."""
        return self._of_simulator("multi-node", simulator)

    def job_queue(self, gpus: int) -> str:
        """Where jobs of one node wait for an instance with this number of GPUs."""
        return self.of(f"gpu-{gpus}")

    def multi_node_job_queue(self, gpus: int) -> str:
        """Where jobs of several nodes wait for such instances."""
        return self.of(f"multi-node-{gpus}")

    def orders(self, cluster: str) -> str:
        """Of the queue of a cluster's agent; the end says that it is first in, first out.

        docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
        """
        return self.of(f"{cluster}-orders.fifo")

    def refused_orders(self, cluster: str) -> str:
        """Of the queue of the orders that a cluster's agent could not carry out."""
        return self.of(f"{cluster}-refused.fifo")

    def agent_parameter(self, cluster: str) -> str:
        """Of the parameter from which a cluster's agent reads what it has to know."""
        return f"/{self.deployment}/agent/{cluster}"

    def agent_role(self, cluster: str, region: str) -> str:
        """Of the role of a cluster's agent; on Slurm also that of its nodes."""
        return self.of(f"{cluster.removeprefix('hyperpod-')}-agent-{region}")

    def jobs_role(self, cluster: str, region: str) -> str:
        """Of the role of the jobs of an EKS cluster."""
        return self.of(f"{cluster.removeprefix('hyperpod-')}-jobs-{region}")

    @property
    def eks_cluster(self) -> str:
        """Of the EKS cluster that a deployment makes."""
        return self.of("eks")

    @property
    def agent_account(self) -> str:
        """Of the agent on a cluster of EKS: its service account, with its rights, and its Deployment."""
        return self.of("agent")

    @property
    def runner_account(self) -> str:
        """Of the service account of runs' pods on a cluster of EKS."""
        return self.of("runner")

    @property
    def volume_claim(self) -> str:
        """Of a namespace's claim on the file system."""
        return self.of("runs")

    def volume(self, team: str) -> str:
        """Of the volume on a cluster of EKS, where all teams share their names."""
        return f"{self.volume_claim}.{team}"

    @property
    def prometheus_logs(self) -> str:
        """Name of the log group of the Prometheus workspace, as `machine_logs`."""
        return f"/aws/vendedlogs/prometheus/{self.deployment}"

    @property
    def prometheus(self) -> str:
        """Of the Prometheus workspace, its scraper and its rules, and of the Grafana workspace: unique by their ids."""
        return self.deployment

    @property
    def training_queue(self) -> str:
        """Where jobs wait that SageMaker trains."""
        return self.of("training")

    @property
    def training_environment(self) -> str:
        """Of the limit of that queue, and of its shares."""
        return self.of("training")

    def training_role(self, region: str) -> str:
        """Of the role of training jobs: an account has its roles, as this and the clusters', in all regions together.

        docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        """
        return self.of(f"training-job-{region}")

    @property
    def training_template(self) -> str:
        """Of the parameter that holds what all training jobs have in common."""
        return f"/{self.deployment}/training-job"

    @property
    def repository(self) -> str:
        """Of the repository of the job's image."""
        return self.deployment

    @property
    def image_build(self) -> str:
        """Of the project that builds it."""
        return self.of("image")

    @property
    def alarm_topic(self) -> str:
        """Of the topic that alarms tell."""
        return self.of("alarms")

    def alarm(self, name: str) -> str:
        """Of an alarm."""
        return self.of(name)

    def dashboard(self, region: str) -> str:
        """Of the dashboard: all dashboards of an account share their names, whatever their region.

        docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-cw-dashboard.html
        """
        return self.of(region)

    def query(self, name: str) -> str:
        """Of a saved query."""
        return f"{self.deployment}/{name}"

    @property
    def metrics_namespace(self) -> str:
        """Of the deployment's metrics: no role of another deployment may publish there, and no alarm looks there."""
        return "Gaitway" if self.is_default else f"Gaitway/{self.deployment}"

    def vams(self, pipeline: str) -> str:
        """Of a pipeline, and its workflow, in VAMS."""
        return pipeline if self.is_default else self.of(pipeline)

    @property
    def option(self) -> str:
        """What a command of ours ends with, to mean this deployment."""
        return "" if self.is_default else f" --deployment {self.deployment}"

    def _of_simulator(self, what: str, simulator: str) -> str:
        return self.of(f"{what}-{simulator}" if simulator == "isaaclab-3" else what)

    def of(self, what: str) -> str:
        """Of anything else."""
        return f"{self.deployment}-{what}"


DEFAULT_NAMES = Names()
"""Of the deployment that one gets without naming it."""
