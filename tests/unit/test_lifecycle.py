"""What prepares a node of a HyperPod cluster, run with programs that only write down how they were called."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from gaitway.contracts.history import Machine
from tests.unit.compute.test_slurm import CONFIG

SCRIPT = Path(__file__).parents[2] / "lifecycle" / "slurm" / "gaitway.sh"
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
        for name in ("mount", "mount.efs", "systemctl"):
            self._program(name)
        self._program("mountpoint", "exit 1")
        self._program("iptables", '[ "$2" = --insert ]')
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

    def prepare(self) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        command = [str(SCRIPT), "gaitway", "eu-west-1", "gaitway.whl"]
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
    assert node.calls("systemctl") == []
    # The simulator's user is kept from the role's credentials.
    assert "--uid-owner 10001 --destination 169.254.169.254 --jump REJECT" in node.calls("iptables")[-1]


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
