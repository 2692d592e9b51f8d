"""What prepares a node of a HyperPod cluster, run with programs that only write down how they were called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gaitway.contracts.history import Machine
from tests.unit.compute.test_slurm import CONFIG

LIFECYCLE = Path(__file__).parents[2] / "lifecycle"
SCRIPT = LIFECYCLE / "slurm" / "gaitway.sh"
CONTROLLER, WORKER = "10.0.0.1", "10.0.0.2"


class Node:
    """A node, below a directory."""

    def __init__(self, directory: Path, address: str) -> None:
        self.root = directory / "root"
        self._programs = directory / "bin"
        self._calls = directory / "calls"
        self._programs.mkdir(parents=True)
        for folder in ("etc/systemd/system", "var/cache", "opt"):
            (self.root / folder).mkdir(parents=True)
        (directory / "config.json").write_text(CONFIG.model_dump_json())
        self._program("aws", f"cat {directory}/config.json")
        for name in ("mount", "mount.efs", "systemctl", "curl", "apt-get"):
            self._program(name)
        self._program("mountpoint", "exit 1")
        self._program("python3.11", '[ "$2" != venv ] || { mkdir -p "$3/bin"; ln -sf "$0" "$3/bin/python"; }')
        groups = [
            {"Name": name, "InstanceType": kind, "Instances": [{"CustomerIpAddress": ip}]}
            for name, kind, ip in (("head", "ml.c5.xlarge", CONTROLLER), ("gpus", "ml.g6.12xlarge", WORKER))
        ]
        (directory / "resources.json").write_text(json.dumps({"InstanceGroups": groups}))
        (directory / "parameters.json").write_text(json.dumps({"controller_group": "head"}))
        self._environment = {
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "GAITWAY_ROOT": str(self.root),
            "GAITWAY_PARAMETERS": str(directory / "parameters.json"),
            "GAITWAY_RESOURCES": str(directory / "resources.json"),
            "GAITWAY_HERE": f"{address} 172.17.0.1 ",
            "GAITWAY_PYTHON": str(self._programs / "python3.11"),
        }

    def has(self, name: str, does: str) -> None:
        """Give the node another program."""
        self._program(name, does)

    def lacks(self, name: str) -> None:
        """Take a program from the node."""
        (self._programs / name).unlink()

    def prepare(self, script: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a script: the one that others call, if none is named."""
        command = [str(SCRIPT), "gaitway", "eu-west-1", "gaitway.whl"] if script is None else [str(script)]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    def calls(self, name: str) -> list[str]:
        """Return how a program was called."""
        lines = self._calls.read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == name]

    def _program(self, name: str, does: str = "") -> None:
        program = self._programs / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self._calls}\n{does}\n')
        program.chmod(0o755)


def test_the_controller_gets_the_file_system_and_the_agent_as_a_service(tmp_path: Path) -> None:
    node = Node(tmp_path, CONTROLLER)
    for _ in range(2):
        done = node.prepare()
        assert done.returncode == 0, done.stderr
    fstab = (node.root / "etc/fstab").read_text()
    assert fstab == f"{CONFIG.file_system}:/ /mnt/gaitway efs _netdev,tls,iam,accesspoint={CONFIG.access_point} 0 0\n"
    unit = (node.root / "etc/systemd/system/gaitway-agent.service").read_text()
    assert f"ExecStart={node.root}/opt/gaitway/bin/gaitway agent --scheduler slurm --deployment gaitway\n" in unit
    assert "Environment=AWS_REGION=eu-west-1 " in unit
    assert node.calls("systemctl")[-1] == "restart gaitway-agent.service"
    assert node.calls("aws")[0].startswith("ssm get-parameter --region eu-west-1 --name /gaitway/agent/hyperpod-slurm")


def test_a_worker_gets_the_file_system_and_says_what_it_is(tmp_path: Path) -> None:
    node = Node(tmp_path, WORKER)
    done = node.prepare()
    assert done.returncode == 0, done.stderr
    machine = Machine.read((node.root / "etc/gaitway/machine.json").read_bytes())
    assert (machine.instance_type, machine.purchase) == ("ml.g6.12xlarge", "on-demand")
    assert node.calls("mount") == ["/mnt/gaitway"]
    assert node.calls("systemctl") == ["daemon-reload", "enable --now gaitway-metadata.service"]
    # The simulator's user is kept from the role's credentials.
    unit = (node.root / "etc/systemd/system/gaitway-metadata.service").read_text()
    assert "--insert OUTPUT --match owner --uid-owner 10001 --destination 169.254.169.254 --jump REJECT\n" in unit


def test_a_node_that_is_in_no_group_is_not_prepared(tmp_path: Path) -> None:
    node = Node(tmp_path, "10.0.0.9")
    done = node.prepare()
    assert done.returncode != 0
    assert "has one of the addresses 10.0.0.9" in done.stderr
    assert not (node.root / "etc/fstab").exists()


@pytest.mark.parametrize("arguments", [[], ["gaitway", "eu-west-1"]])
def test_arguments_that_are_missing_are_named(arguments: list[str]) -> None:
    done = subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: gaitway.sh DEPLOYMENT REGION PACKAGE\n")


def test_a_node_of_a_cluster_that_a_deployment_made_is_told_everything_by_the_file_beside_the_script(
    tmp_path: Path,
) -> None:
    node = Node(tmp_path, CONTROLLER)
    scripts = tmp_path / "lifecycle"
    shutil.copytree(LIFECYCLE / "slurm", scripts)
    told = {"deployment": "legs", "region": "eu-west-1", "controller_group": "head", "package": "s3://assets/hash.zip"}
    (scripts / "gaitway.json").write_text(json.dumps(told))
    done = node.prepare(scripts / "on_init_complete.sh")
    assert done.returncode == 0, done.stderr
    assert node.calls("aws")[0] == "s3 cp --only-show-errors s3://assets/hash.zip /opt/gaitway-package.zip"
    assert "--name /legs/agent/hyperpod-slurm" in node.calls("aws")[1]
    assert node.calls("python3.11")[-1].endswith("-m pip install --quiet --upgrade /opt/gaitway-package.zip")
    assert node.calls("systemctl")[-1] == "restart legs-agent.service"
    # Both are there already.
    assert node.calls("curl") == node.calls("apt-get") == []


def test_a_node_without_the_file_systems_client_or_python_gets_them_first(tmp_path: Path) -> None:
    node = Node(tmp_path, WORKER)
    scripts = tmp_path / "lifecycle"
    shutil.copytree(LIFECYCLE / "slurm", scripts)
    told = {"deployment": "legs", "region": "eu-west-1", "controller_group": "head", "package": "s3://assets/hash.zip"}
    (scripts / "gaitway.json").write_text(json.dumps(told))
    node.lacks("mount.efs")
    node.has("curl", f"echo 'echo mount.efs is installed >> {tmp_path}/calls'")
    node.has("python3.11", "exit 1")
    done = node.prepare(scripts / "on_init_complete.sh")
    # The stand-in for the installer installs nothing, and gaitway.sh says what is missing.
    assert "there is no mount.efs" in done.stderr
    assert node.calls("curl")[0].endswith("https://amazon-efs-utils.aws.com/efs-utils-installer.sh")
    assert node.calls("mount.efs") == ["is installed"]
    assert node.calls("apt-get")[-1].endswith("install --quiet --yes python3.11 python3.11-venv")


def test_pods_are_kept_from_the_credentials_of_an_eks_node_also_after_it_has_started_again(tmp_path: Path) -> None:
    node = Node(tmp_path, WORKER)
    for _ in range(2):
        done = node.prepare(LIFECYCLE / "eks" / "on_init_complete.sh")
        assert done.returncode == 0, done.stderr
    unit = (node.root / "etc/systemd/system/gaitway-metadata.service").read_text()
    assert "FORWARD 1 --in-interface eni+ --destination 169.254.169.254/32 --jump DROP\n" in unit
    assert "WantedBy=multi-user.target" in unit
    assert node.calls("systemctl")[-1] == "enable --now gaitway-metadata.service"
