"""Our stacks on the embedded AWS, with proxies between it and every job and function, and with scaled times.

All changes for the campaign are made through AWS's own API: the functions get another endpoint, the state machines
shorter heartbeats, and job definitions, training jobs and agents another command. No product code depends on it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from gaitway.compute.backends import jobs_of
from gaitway.compute.jobs import Jobs
from gaitway.compute.sagemaker import ServiceJobs
from gaitway.contracts.backends import DEFAULT_BACKEND, Backend
from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.cdk import CdkDeployer
from gaitway.local.extensions.batch.submission import SHORT_TIMEOUTS_VARIABLE
from gaitway.local.extensions.sagemaker import INTERRUPT
from gaitway.local.extensions.schedules import SPEEDUP_VARIABLE as SCHEDULE_SPEEDUP_VARIABLE
from gaitway.local.launcher import CLUSTERS, EKS, SLURM, Launcher, LocalAws, cluster_settings
from gaitway.local.server_process import running_server, start_server, stop_server
from gaitway.names import DEFAULT_NAMES
from tests.checkpoints import checkpoint
from tests.faults import job, scaled_functions
from tests.faults.clusters import Cluster, Kubernetes, RunJob, Slurm
from tests.faults.proxy import Proxy
from tests.local.deployed import ControlPlane, Json

_HEARTBEAT_SECONDS = 300.0
"""Between two heartbeats of the runner, by default."""
_MAX_VCPUS = 64
FUNCTION_SECONDS = 30.0
"""How long submit_job may take. It is not scaled, and is part of the job's heartbeat timeout."""
TELLING_SECONDS = 30.0
"""The time to handle a missing heartbeat, which is not scaled, and follows the job's: a caller waits for both."""
_CALLER_SECONDS = FUNCTION_SECONDS + TELLING_SECONDS
_COMMAND = (sys.executable, "-m", "tests.faults.job")
"""Becomes the runner; the run's id is added."""
_IMAGE = "gaitway/shell:local"
_ENDED = ("SUCCEEDED", "FAILED")


class World:
    """The deployment, and the proxies between it and our processes.

    Args:
        directory: Directory for all files.
        local_aws: The emulator, with the stacks in it.
        speedup: How many times shorter heartbeats, allowances and schedules are than those deployed.
    """

    def __init__(self, directory: Path, local_aws: LocalAws, speedup: float) -> None:
        self.speedup = speedup
        self.state_directory = directory / "state"
        self.plans = directory / "plans"
        self.plans.mkdir()
        self.exclusive = threading.Lock()
        """Held during a change that affects all runs."""
        self._starting = threading.Lock()
        self._endpoint_url = local_aws.endpoint_url
        self.proxy = Proxy(lambda: self._endpoint_url)
        self.plane = ControlPlane(local_aws)
        self.session: Any = local_aws.session()
        self.sqs = self.session.client("sqs")
        self.policy = self.plane.put("faults/policy/model_11.pt", checkpoint())
        self._clusters: dict[Backend, Cluster] = {}
        self._instrument_functions(self._instrument_jobs())
        self._instrument_training_jobs()
        for backend in CLUSTERS.values():
            self._instrument_agent(backend)
        self.pipeline_definition = self._scale(self.plane.deployment.pipeline_arn, FUNCTION_SECONDS)
        self._scale(self.plane.deployment.workflow_arn, _CALLER_SECONDS)
        self.set_capacity(enabled=True)

    @cached_property
    def functions(self) -> dict[str, str]:
        """Names of our functions, by their folder: `handle_failure`."""
        pages = self.plane.lambda_.get_paginator("list_functions").paginate()
        return {
            name.rpartition("gaitway-")[2].replace("-", "_"): name
            for page in pages
            for function in page["Functions"]
            if (name := function["FunctionName"]) and function.get("Handler", "").startswith("lambdas.")
        }

    @cached_property
    def jobs(self) -> Jobs:
        """The jobs of all back ends, as the control plane knows them."""
        orders = {backend: DEFAULT_NAMES.orders(backend) for backend in CLUSTERS.values()}
        table = self.plane.deployment.run_table_name
        return jobs_of(
            self.session.client,
            variables={"GAITWAY_RUN_TABLE": table, "GAITWAY_CLUSTER_ORDERS": json.dumps(orders)},
        )

    def jobs_of(self, run_id: str, backend: Backend) -> list[RunJob]:
        """List the jobs that a run ever had, from what queues and runs them."""
        if backend == DEFAULT_BACKEND:
            return [RunJob(job["jobId"], job["status"] in _ENDED) for job in self.plane.jobs_of(run_id)]
        if backend in CLUSTERS.values():
            return [job for job in self.cluster(backend).jobs() if run_id in job.id]
        named = ServiceJobs(self.plane.batch).named(DEFAULT_NAMES.training_queue, f"{run_id}*")
        return [RunJob(one.id, one.job().has_ended) for one in named]

    def cluster(self, backend: Backend) -> Cluster:
        """Return a cluster, which is started by the first call."""
        return self.kubernetes if backend == CLUSTERS[EKS] else self.slurm

    @property
    def kubernetes(self) -> Kubernetes:
        """The stand-in for Kubernetes."""
        with self._starting:
            if not isinstance(found := self._clusters.get(CLUSTERS[EKS]), Kubernetes):
                found = Kubernetes(self.state_directory, self.session, self.proxy.address("agent"), self._emulator_id)
                self._clusters[CLUSTERS[EKS]] = found
            return found

    @property
    def slurm(self) -> Slurm:
        """Real Slurm."""
        with self._starting:
            if not isinstance(found := self._clusters.get(CLUSTERS[SLURM]), Slurm):
                address = self.proxy.address("agent")
                found = Slurm(self.state_directory, self.session, address, self._emulator_id, _COMMAND)
                self._clusters[CLUSTERS[SLURM]] = found
            return found

    def reclaim(self, training_job: str) -> None:
        """Take the Spot instances of a training job back."""
        urllib.request.urlopen(f"{self._endpoint_url}{INTERRUPT}{training_job}").close()  # noqa: S310 - the emulator

    @property
    def _emulator_id(self) -> str:
        record = running_server(self.state_directory)
        assert record is not None
        return record.emulator_id

    def directory_of(self, run_id: str) -> Path | None:
        """Find a run's directory on EFS; None if it does not exist yet."""
        return next((self.state_directory / "efs").glob(f"**/runs/{run_id}"), None)

    def future_directory(self, run_id: str) -> Path:
        """Create a run's directory on EFS before the run does, and return it."""
        definition = self.plane.batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        volumes = next(item["containerProperties"]["volumes"] for item in definition if "containerProperties" in item)
        efs = next(volume["efsVolumeConfiguration"] for volume in volumes if "efsVolumeConfiguration" in volume)
        access_points = self.session.client("efs").describe_access_points(
            AccessPointId=efs["authorizationConfig"]["accessPointId"]
        )["AccessPoints"]
        root = access_points[0].get("RootDirectory", {}).get("Path", "/").strip("/")
        directory: Path = self.state_directory / "efs" / efs["fileSystemId"] / root / "runs" / run_id
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def set_capacity(self, *, enabled: bool) -> None:
        """Let jobs start, or let them wait."""
        for environment in self.plane.batch.describe_compute_environments()["computeEnvironments"]:
            self.plane.batch.update_compute_environment(
                computeEnvironment=environment["computeEnvironmentName"],
                state="ENABLED" if enabled else "DISABLED",
                computeResources={"maxvCpus": _MAX_VCPUS},
            )

    def restart(self) -> None:
        """Stop the emulator, which keeps its state, and start it again; the clusters end with it."""
        self._clusters.clear()
        stop_server(self.state_directory)
        self._endpoint_url = start_server(self.state_directory).endpoint_url

    def _instrument_functions(self, definitions: dict[str, str]) -> None:
        for verb, name in self.functions.items():
            configuration = self.plane.lambda_.get_function_configuration(FunctionName=name)
            variables = configuration.get("Environment", {}).get("Variables", {})
            variables["AWS_ENDPOINT_URL"] = self.proxy.address(verb)
            if "GAITWAY_JOB_DEFINITIONS" in variables:
                variables |= definitions
                self._allow_jobs(configuration["Role"].rpartition("/")[2])
            changes: Json = {}
            if hasattr(scaled_functions, verb):
                # So that Python finds it like the function's own code.
                variables["PYTHONPATH"] = str(Path(scaled_functions.__file__).parent)
                variables[scaled_functions.SPEEDUP_VARIABLE] = str(self.speedup)
                changes["Handler"] = f"scaled_functions.{verb}"
            self.plane.lambda_.update_function_configuration(
                FunctionName=name, Environment={"Variables": variables}, **changes
            )

    def _allow_jobs(self, role_name: str) -> None:
        """Let a function submit the campaign's own job definitions, too."""
        statement = {"Effect": "Allow", "Action": "batch:SubmitJob", "Resource": "arn:aws:batch:*:*:job-definition/*"}
        self.session.client("iam").put_role_policy(
            RoleName=role_name,
            PolicyName="fault-campaign",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )

    def _instrument_jobs(self) -> dict[str, str]:
        """Register the job definitions again, with the campaign's own command.

        Returns:
            Their ARNs by simulator, by the environment variable of submit_job for each.
        """
        definitions = self.plane.batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        single: Json = next(item for item in definitions if "containerProperties" in item)
        several: Json = next(item for item in definitions if "nodeProperties" in item)
        self._instrument(single["containerProperties"])
        for nodes in several["nodeProperties"]["nodeRangeProperties"]:
            self._instrument(nodes["container"])
        return {
            "GAITWAY_JOB_DEFINITIONS": json.dumps({"embedded": self._register(single, "containerProperties")}),
            "GAITWAY_MULTI_NODE_JOB_DEFINITIONS": json.dumps({"embedded": self._register(several, "nodeProperties")}),
        }

    def _instrument(self, container: Json) -> None:
        environment = {item["name"]: item["value"] for item in container["environment"]} | self._job_variables()
        container |= {
            "image": _IMAGE,
            "command": [*_COMMAND, "Ref::run_id"],
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
        }

    def _job_variables(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(REPOSITORY_ROOT),
            "GAITWAY_SIMULATOR": "embedded",
            "GAITWAY_HEARTBEAT_SECONDS": str(_HEARTBEAT_SECONDS / self.speedup),
            "GAITWAY_EXIT_ALLOWANCE_SECONDS": "3",
            job.DIRECTORY_VARIABLE: str(self.plans),
            job.ENDPOINT_VARIABLE: self.proxy.address("job"),
            job.SPEEDUP_VARIABLE: str(self.speedup),
        }

    def _instrument_training_jobs(self) -> None:
        def edit(template: Json) -> None:
            template["images"] = dict.fromkeys(template["images"], _IMAGE)
            template["trainingJob"]["AlgorithmSpecification"]["ContainerEntrypoint"] = [*_COMMAND]
            template["trainingJob"]["Environment"] |= self._job_variables()

        self._change_parameter(DEFAULT_NAMES.training_template, edit)

    def _instrument_agent(self, backend: Backend) -> None:
        def edit(told: Json) -> None:
            told["command"] = [*_COMMAND]
            told["job_environment"] |= self._job_variables()

        self._change_parameter(DEFAULT_NAMES.agent_parameter(backend), edit)

    def _change_parameter(self, name: str, edit: Callable[[Json], None]) -> None:
        ssm = self.session.client("ssm")
        document = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])
        edit(document)
        ssm.put_parameter(Name=name, Value=json.dumps(document), Type="String", Overwrite=True)

    def _register(self, definition: Json, properties: str) -> str:
        kept = ("jobDefinitionName", "type", "parameters", "retryStrategy", "timeout", "propagateTags", properties)
        registered = self.plane.batch.register_job_definition(
            **{name: definition[name] for name in kept if name in definition}
        )
        return str(registered["jobDefinitionArn"])

    def scaled(self, definition: Json, spare_seconds: float = _CALLER_SECONDS) -> Json:
        """Shorten the heartbeats in a state machine's definition.

        Args:
            definition: A caller's, by default.
            spare_seconds: Added to each: the time to report to a caller is not scaled.
        """
        for state in definition["States"].values():
            if "HeartbeatSeconds" in state:
                state["HeartbeatSeconds"] = max(1, round(state["HeartbeatSeconds"] / self.speedup + spare_seconds))
        return definition

    def _scale(self, machine_arn: str, spare_seconds: float) -> Json:
        """Shorten a machine's heartbeats."""
        machine = self.plane.stepfunctions.describe_state_machine(stateMachineArn=machine_arn)
        definition = self.scaled(json.loads(machine["definition"]), spare_seconds)
        self.plane.stepfunctions.update_state_machine(stateMachineArn=machine_arn, definition=json.dumps(definition))
        return definition


@contextmanager
def open_world(directory: Path, speedup: float = 30.0) -> Iterator[World]:
    """Start the emulator, deploy, and clean up afterwards.

    Args:
        directory: Directory for all files.
        speedup: How many times shorter heartbeats, allowances and schedules are than those deployed.
    """
    before = os.environ.get(SCHEDULE_SPEEDUP_VARIABLE)
    os.environ[SCHEDULE_SPEEDUP_VARIABLE] = str(speedup)
    os.environ[SHORT_TIMEOUTS_VARIABLE] = "1"
    # The clusters themselves start with the first fault that needs them.
    launcher = Launcher(directory / "state", CdkDeployer(directory / "cdk", context=cluster_settings([EKS, SLURM])))
    world = None
    try:
        world = World(directory, launcher.up(lambda line: None), speedup)
        yield world
    finally:
        launcher.down()
        if world is not None:
            world.proxy.close()
        if before is None:
            del os.environ[SCHEDULE_SPEEDUP_VARIABLE]
        else:
            os.environ[SCHEDULE_SPEEDUP_VARIABLE] = before
