"""Our stacks on the embedded AWS, with proxies in the way of every job and function, and with scaled times.

Everything that makes it a test's world is done through AWS's own interfaces: functions are given another endpoint, the
state machines shorter heartbeats, and the job definition another command. No product code knows of it.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from gaitway.local.cdk import CdkDeployer
from gaitway.local.extensions.schedules import SPEEDUP_VARIABLE as SCHEDULE_SPEEDUP_VARIABLE
from gaitway.local.launcher import Launcher, LocalAws
from gaitway.local.runtime import REPOSITORY_ROOT
from gaitway.local.server_process import start_server, stop_server
from tests.faults import job, scaled_functions
from tests.faults.proxy import Proxy
from tests.local.deployed import ControlPlane, Json

_HEARTBEAT_SECONDS = 300.0
"""Between two of the runner's, by default."""
_MAX_VCPUS = 64
TELLING_SECONDS = 30.0
"""What is done about a missing heartbeat takes no scaled time."""


class World:
    """The deployment, and what is between it and our processes.

    Args:
        directory: Where everything lies.
        local_aws: The emulator, with the stacks in it.
        speedup: How many times shorter heartbeats, allowances and schedules are than those deployed.
    """

    def __init__(self, directory: Path, local_aws: LocalAws, speedup: float) -> None:
        self.speedup = speedup
        self.state_directory = directory / "state"
        self.plans = directory / "plans"
        self.plans.mkdir()
        self.exclusive = threading.Lock()
        """Held by who changes something for everybody."""
        self._endpoint_url = local_aws.endpoint_url
        self.proxy = Proxy(lambda: self._endpoint_url)
        self.plane = ControlPlane(local_aws)
        self.session: Any = local_aws.session()
        self.sqs = self.session.client("sqs")
        self.policy = self.plane.put("faults/policy/model_11.pt", _policy())
        self._instrument_functions(self._instrument_jobs())
        self.pipeline_definition = self._scale(self.plane.deployment.pipeline_arn, spare_seconds=0)
        self._scale(self.plane.deployment.workflow_arn, TELLING_SECONDS)
        self.set_capacity(enabled=True)

    @cached_property
    def functions(self) -> dict[str, str]:
        """Names of our functions, by what they do: `handle_failure`."""
        pages = self.plane.lambda_.get_paginator("list_functions").paginate()
        return {
            name.rpartition("gaitway-")[2].replace("-", "_"): name
            for page in pages
            for function in page["Functions"]
            if (name := function["FunctionName"]) and function.get("Handler", "").startswith("lambdas.")
        }

    def directory_of(self, run_id: str) -> Path | None:
        """Find a run's directory on EFS; None where there is none yet."""
        return next((self.state_directory / "efs").glob(f"**/runs/{run_id}"), None)

    def future_directory(self, run_id: str) -> Path:
        """Say where a run's directory on EFS will be, and make it."""
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
        """Stop the emulator, which keeps its state, and start it again."""
        stop_server(self.state_directory)
        self._endpoint_url = start_server(self.state_directory).endpoint_url

    def _instrument_functions(self, definition_arn: str) -> None:
        for verb, name in self.functions.items():
            configuration = self.plane.lambda_.get_function_configuration(FunctionName=name)
            variables = configuration.get("Environment", {}).get("Variables", {})
            variables["AWS_ENDPOINT_URL"] = self.proxy.address(verb)
            if "GAITWAY_JOB_DEFINITION" in variables:
                variables["GAITWAY_JOB_DEFINITION"] = definition_arn
                self._allow_jobs(configuration["Role"].rpartition("/")[2])
            changes: Json = {}
            if hasattr(scaled_functions, verb):
                # Found on the function's path like its own code.
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

    def _instrument_jobs(self) -> str:
        """Register the job's definition anew, with the campaign's own command; return its ARN."""
        definitions = self.plane.batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        definition: Json = next(item for item in definitions if "containerProperties" in item)
        container = definition["containerProperties"]
        environment = {item["name"]: item["value"] for item in container["environment"]}
        environment |= {
            "PYTHONPATH": str(REPOSITORY_ROOT),
            "GAITWAY_SIMULATOR": "embedded",
            "GAITWAY_HEARTBEAT_SECONDS": str(_HEARTBEAT_SECONDS / self.speedup),
            "GAITWAY_EXIT_ALLOWANCE_SECONDS": "3",
            job.DIRECTORY_VARIABLE: str(self.plans),
            job.ENDPOINT_VARIABLE: self.proxy.address("job"),
            job.SPEEDUP_VARIABLE: str(self.speedup),
        }
        container |= {
            "image": "gaitway/shell:local",
            "command": [sys.executable, "-m", "tests.faults.job", "Ref::run_id"],
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
        }
        kept = ("jobDefinitionName", "type", "parameters", "retryStrategy", "timeout", "propagateTags")
        registered = self.plane.batch.register_job_definition(
            **{name: definition[name] for name in kept if name in definition}, containerProperties=container
        )
        return str(registered["jobDefinitionArn"])

    def scaled(self, definition: Json, spare_seconds: float = TELLING_SECONDS) -> Json:
        """Shorten the heartbeats in a state machine's definition.

        Args:
            definition: A caller's, by default.
            spare_seconds: Added to each: what telling a caller takes is not scaled.
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
    """Start the emulator, deploy, and leave nothing behind.

    Args:
        directory: Where everything lies.
        speedup: How many times shorter heartbeats, allowances and schedules are than those deployed.
    """
    before = os.environ.get(SCHEDULE_SPEEDUP_VARIABLE)
    os.environ[SCHEDULE_SPEEDUP_VARIABLE] = str(speedup)
    launcher = Launcher(directory / "state", CdkDeployer(directory / "cdk"))
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


def _policy() -> bytes:
    """Make a checkpoint to evaluate."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("data.pkl", b"weights")
    return content.getvalue()
