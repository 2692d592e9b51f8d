"""The agent of the embedded cluster: its configuration, and its process."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import psutil

from gaitway.compute.slurm import pyxis_image
from gaitway.contracts.cluster import AgentConfig
from gaitway.contracts.history import Machine
from gaitway.installation import REPOSITORY_ROOT
from gaitway.instances.prices import LOCAL
from gaitway.local import pyxis
from gaitway.local.guard import MARKER
from gaitway.local.runtime import REGION
from gaitway.local.slurm import SlurmCluster
from gaitway.names import Names

BACKEND = "hyperpod-slurm"
_STOP_SECONDS = 10.0
_agents: list[subprocess.Popen[bytes]] = []
"""They outlive the call that starts them; an object dropped early warns about its process."""


class SlurmAgent:
    """The agent of a deployment.

    Args:
        cluster: Its cluster.
        names: Of the deployment.
        endpoint_url: The emulator's.
        emulator_id: Value of the marker of its processes.
    """

    def __init__(self, cluster: SlurmCluster, names: Names, endpoint_url: str, emulator_id: str) -> None:
        self._cluster = cluster
        self._names = names
        self._endpoint_url = endpoint_url
        self._emulator_id = emulator_id
        self._directory = cluster.directory / names.deployment
        self.log = self._directory / "agent.log"

    def configure(self, session: boto3.Session, state_directory: Path) -> None:
        """Write the agent's configuration: the deployment's, with what this machine has in place of a cluster's nodes.

        There is no container: each image is a program of this machine, as for jobs of AWS Batch, which a stand-in for
        Pyxis starts. The role is the one that nodes have in an account.
        """
        ssm: Any = session.client("ssm")
        parameter = ssm.get_parameter(Name=self._names.agent_parameter(BACKEND))["Parameter"]["Value"]
        told = AgentConfig.read(parameter)
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "home").mkdir(exist_ok=True)
        efs: Any = session.client("efs")
        access_point = efs.describe_access_points(AccessPointId=told.access_point)["AccessPoints"][0]
        efs_root = state_directory / "efs" / told.file_system / access_point["RootDirectory"]["Path"].strip("/")
        efs_root.mkdir(parents=True, exist_ok=True)
        machine = self._directory / "machine.json"
        machine.write_text(Machine(instance_type=LOCAL).model_dump_json(by_alias=True, include={"instance_type"}))
        given = {
            "GAITWAY_EFS_ROOT": str(efs_root),
            "GAITWAY_MACHINE_FILE": str(machine),
            "GAITWAY_METRICS_ADDRESS": "127.0.0.1",
        }
        config = told.model_copy(
            update={
                "efs_root": str(efs_root),
                "mounts": (),
                "job_environment": {
                    **told.job_environment,
                    **given,
                    **self._of_a_node(session),
                    # Slurm's commands may be elsewhere than the system's.
                    "PATH": f"{self._pyxis()}:{os.environ['PATH']}",
                },
            }
        )
        (self._directory / "agent.json").write_text(config.model_dump_json())

    def _pyxis(self) -> Path:
        """Write an `srun` that takes the options of Pyxis; return its directory."""
        # The command line imports this module, also where there is no MiniStack.
        from gaitway.local.extensions.batch.images import IMAGES

        known = {
            pyxis_image(name): {
                "environment": image.environment,
                "files": {inside: str(here) for inside, here in image.files.items()},
            }
            for name, image in IMAGES.items()
        }
        images, directory = self._directory / "images.json", self._directory / "bin"
        images.write_text(json.dumps(known))
        directory.mkdir(exist_ok=True)
        real = shutil.which("srun")
        assert real is not None, "the cluster has been started with Slurm's commands"
        command = shlex.join([sys.executable, str(Path(pyxis.__file__)), str(images), real])
        (directory / "srun").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (directory / "srun").chmod(0o755)
        return directory

    def start(self, session: boto3.Session) -> None:
        """Start it, in place of one that runs."""
        self.stop()
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG", "NO_PROXY", "no_proxy") if name in os.environ},
            **self._cluster.environment,
            **self._of_a_node(session),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
        command = [sys.executable, "-m", "gaitway.cli", "agent", "--scheduler", "slurm"]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*command, "--config", str(self._directory / "agent.json")],
                cwd=REPOSITORY_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _agents.append(process)
        (self._directory / "agent.pid").write_text(str(process.pid))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, if it runs."""
        process = self.process()
        if process is not None:
            process.send_signal(number)
            process.wait(_STOP_SECONDS)
        _agents[:] = [agent for agent in _agents if agent.poll() is None]

    def process(self) -> psutil.Process | None:
        """Return its process; None where it does not run."""
        try:
            process = psutil.Process(int((self._directory / "agent.pid").read_text()))
            return process if process.environ().get(MARKER) == self._emulator_id else None
        except (OSError, ValueError, psutil.Error):
            return None

    def _of_a_node(self, session: boto3.Session) -> Mapping[str, str]:
        """Return what a process of a node has: its role, and no credentials of the person who has started this."""
        from gaitway.local.extensions.instance_metadata import endpoint_of

        stack = session.client("cloudformation").describe_stacks(StackName=self._names.stack("Compute"))["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        role = outputs["HyperpodSlurmRoleArn"].rpartition("/")[2]
        return {
            "AWS_ENDPOINT_URL": self._endpoint_url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint_of(self._endpoint_url, role),
            "HOME": str(self._directory / "home"),
            MARKER: self._emulator_id,
        }
