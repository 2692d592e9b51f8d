"""The scripts around the runner: the image's entry point, and an instance's first steps. They run here as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.templates import ROOT
from tests.serving import Handler, serving

ENTRYPOINT = ROOT / "container" / "entrypoint.sh"
SIMULATOR_UID = 10001
BOOT = ROOT / "stacks" / "components" / "instance_boot.sh"


def executable(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """What image and job definition set."""
    efs = tmp_path / "efs"
    efs.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "GAITWAY_EFS_ROOT": str(efs),
        "GAITWAY_PYTHON": sys.executable,
        "GAITWAY_SIMULATOR": "embedded",
        "PYTHONPATH": str(ROOT),
    }


def enter(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ENTRYPOINT, *arguments], env=variables, capture_output=True, text=True, check=False)


def test_the_entry_point_becomes_the_runner(variables: dict[str, str], tmp_path: Path) -> None:
    python = executable(tmp_path / "python", 'echo "$$ $*"')
    process = subprocess.Popen(
        [ENTRYPOINT, "run-1"], env=variables | {"GAITWAY_PYTHON": str(python)}, stdout=subprocess.PIPE, text=True
    )
    said, _ = process.communicate()
    # The same process: nothing stands between it and Docker's signals.
    assert said == f"{process.pid} -P -m gaitway.runner.start run-1\n"


def test_what_it_becomes_is_the_runner(variables: dict[str, str]) -> None:
    ended = enter(variables, "run-1")
    assert ended.returncode == 1
    assert "GAITWAY_RUN_TABLE" in ended.stderr


def test_the_entry_point_becomes_the_agent_of_a_cluster_with_the_same_libraries(
    variables: dict[str, str], tmp_path: Path
) -> None:
    # Neither a file system nor a GPU has to be there.
    agent = {name: variables[name] for name in ("GAITWAY_PYTHON", "PATH", "PYTHONPATH")}
    ended = enter(agent, "agent", "--scheduler", "kubernetes")
    assert "the following arguments are required: --parameter" in ended.stderr
    python = executable(tmp_path / "python", 'echo "$PYTHONPATH $*"')
    given = agent | {"GAITWAY_PYTHON": str(python), "GAITWAY_LIBRARIES": "/libraries", "PYTHONPATH": "/sources"}
    assert enter(given, "agent", "--x").stdout == "/libraries:/sources -P -m gaitway.agent --x\n"


def test_the_runners_own_libraries_come_before_those_of_the_interpreter(
    variables: dict[str, str], tmp_path: Path
) -> None:
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "boto3.py").write_text("raise SystemExit('this boto3')", encoding="utf-8")
    assert "this boto3" in enter(variables | {"GAITWAY_LIBRARIES": str(libraries)}, "run-1").stderr
    assert "this boto3" not in enter(variables, "run-1").stderr


@pytest.mark.parametrize(
    ("arguments", "changes", "words"),
    [
        ((), {}, "the command must be the id of a run"),
        (("run-1", "--seed=1"), {}, "got: run-1 --seed=1"),
        (("run-1",), {"GAITWAY_EFS_ROOT": "/nowhere"}, "/nowhere is no directory that can be written to"),
        (("run-1",), {"GAITWAY_EFS_ROOT": ""}, "the job definition must set it"),
        (("run-1",), {"GAITWAY_PYTHON": "/nowhere/python"}, "there is no interpreter /nowhere/python"),
        (("run-1",), {"GAITWAY_SIMULATOR": "isaaclab2", "GAITWAY_GPU_DEVICE": "/nowhere"}, "no GPU in this container"),
    ],
)
def test_what_an_image_or_a_job_definition_lacks_is_said_before_anything_starts(
    variables: dict[str, str], arguments: tuple[str, ...], changes: dict[str, str], words: str
) -> None:
    ended = enter(variables | changes, *arguments)
    # Not 10: that would tell AWS Batch that the machine has been told.
    assert (ended.returncode, ended.stdout) == (1, "")
    assert words in ended.stderr


@pytest.fixture
def instance(tmp_path: Path) -> dict[str, str]:
    """An instance's directories, and commands that would change this machine: they only say what they were asked."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("mknod", "modprobe", "iptables", "systemctl"):
        executable(commands / name, f'echo "{name} $*"')
    return {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "GAITWAY_CACHE": str(tmp_path / "cache"),
        "GAITWAY_DEVICES": str(tmp_path / "infiniband"),
        "GAITWAY_ECS_CONFIG": str(tmp_path / "ecs" / "ecs.config"),
        "GAITWAY_MACHINE_FILE": str(tmp_path / "gaitway" / "machine.json"),
        # Nobody listens there.
        "GAITWAY_METADATA_SERVICE": "http://127.0.0.1:9",
    }


class InstanceMetadata(Handler):
    """What an instance's metadata service answers to who has a token, as version 2 demands it."""

    lifecycle = "spot"

    def put(self) -> None:
        self.tell("a-token" if self.path == "/latest/api/token" else None)

    def get(self) -> None:
        known = {
            "instance-id": "i-0123456789abcdef0",
            "instance-type": "g6.2xlarge",
            "instance-life-cycle": self.lifecycle,
        }
        has_token = self.headers["X-aws-ec2-metadata-token"] == "a-token"
        self.tell(known.get(self.path.removeprefix("/latest/meta-data/")) if has_token else None)

    def tell(self, text: str | None) -> None:
        self.answer(200 if text else 401, text or "")


@pytest.fixture
def metadata() -> Iterator[str]:
    with serving(InstanceMetadata) as address:
        yield address


@pytest.mark.parametrize(("lifecycle", "purchase"), [("spot", "spot"), ("on-demand", "on-demand"), ("x", "on-demand")])
def test_an_instance_writes_down_what_it_is(
    instance: dict[str, str],
    metadata: str,
    monkeypatch: pytest.MonkeyPatch,
    lifecycle: str,
    purchase: str,
) -> None:
    monkeypatch.setattr(InstanceMetadata, "lifecycle", lifecycle)
    service = {"GAITWAY_METADATA_SERVICE": metadata}
    subprocess.run([BOOT], env=instance | service, check=True, capture_output=True)
    machine = json.loads(Path(instance["GAITWAY_MACHINE_FILE"]).read_text(encoding="utf-8"))
    assert machine == {"instanceId": "i-0123456789abcdef0", "instanceType": "g6.2xlarge", "purchase": purchase}


def test_an_instance_that_is_not_told_what_it_is_boots(instance: dict[str, str]) -> None:
    said = subprocess.run([BOOT], env=instance, check=True, capture_output=True, text=True)
    assert "mknod" in said.stdout
    assert "does not tell what it is" in said.stderr
    assert not Path(instance["GAITWAY_MACHINE_FILE"]).exists()


def test_an_instance_keeps_images_and_caches(instance: dict[str, str]) -> None:
    config = Path(instance["GAITWAY_ECS_CONFIG"])
    config.parent.mkdir()
    config.write_text("ECS_CLUSTER=batch\n", encoding="utf-8")
    subprocess.run([BOOT], env=instance, check=True, capture_output=True)
    settings = dict(line.split("=") for line in config.read_text(encoding="utf-8").splitlines())
    assert settings["ECS_IMAGE_PULL_BEHAVIOR"] == "prefer-cached"
    # For layers that take minutes to unpack; the agent's own default is 1m.
    assert settings["ECS_IMAGE_PULL_INACTIVITY_TIMEOUT"] == "15m"
    assert settings["ECS_CLUSTER"] == "batch"
    # Containers run as other users than the one that boots, and must not delete each other's files.
    assert Path(instance["GAITWAY_CACHE"]).stat().st_mode & 0o7777 == 0o1777


def test_an_instance_without_an_adapter_gets_a_device_that_cannot_be_opened(instance: dict[str, str]) -> None:
    device = Path(instance["GAITWAY_DEVICES"]) / "uverbs0"
    said = subprocess.run([BOOT], env=instance, check=True, capture_output=True, text=True).stdout
    assert said.endswith(f"modprobe efa\nmknod -m 0600 {device} c 231 192\n")


def test_an_instance_with_an_adapter_keeps_its_device(instance: dict[str, str], tmp_path: Path) -> None:
    device = Path(instance["GAITWAY_DEVICES"]) / "uverbs0"
    executable(tmp_path / "commands" / "modprobe", f'mkdir -p "{device.parent}"; touch "{device}"')
    said = subprocess.run([BOOT], env=instance, check=True, capture_output=True, text=True).stdout
    assert "mknod" not in said


def test_an_instance_whose_image_has_no_driver_boots(instance: dict[str, str], tmp_path: Path) -> None:
    executable(tmp_path / "commands" / "modprobe", "exit 1")
    said = subprocess.run([BOOT], env=instance, check=True, capture_output=True, text=True)
    assert "mknod" in said.stdout
    assert "no driver" in said.stderr


def test_an_instance_that_cannot_keep_the_simulator_from_its_credentials_takes_no_jobs(
    instance: dict[str, str], tmp_path: Path
) -> None:
    executable(tmp_path / "commands" / "iptables", "exit 1")
    said = subprocess.run([BOOT], env=instance, check=False, capture_output=True, text=True)
    assert said.returncode == 1
    assert said.stdout == "systemctl mask --now ecs\n"
    assert "takes no jobs" in said.stderr


def test_image_and_instance_mean_the_same_user() -> None:
    """A container's users are the instance's: rules for a number hold in both."""
    dockerfile = (ROOT / "container" / "Dockerfile").read_text(encoding="utf-8")
    of_images = re.findall(r"GAITWAY_SIMULATOR_UID=(\d+)", dockerfile)
    of_instances = re.findall(r"^simulator_uid=(\d+)$", BOOT.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(of_images) == len(re.findall(r"^FROM ", dockerfile, re.MULTILINE))
    assert {*of_images, *of_instances} == {str(SIMULATOR_UID)}
    # The runner must be root, to become that user.
    assert not re.search(r"^USER ", dockerfile, re.MULTILINE)


_REACHES = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).close()
except OSError as error:
    sys.exit(str(error))
"""


class Network:
    """A network of its own, with an instance's addresses, which a process holds open."""

    def __init__(self, holder: subprocess.Popen[str]) -> None:
        self._enter = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")

    def run(self, *command: str, **variables: str) -> None:
        """Run a command in it."""
        subprocess.run([*self._enter, *command], check=True, capture_output=True, env=os.environ | variables)

    def reaches(self, address: str, port: int, uid: int) -> bool:
        """Tell whether a user's process is let through."""
        who = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
        command = (*self._enter, *who, "/usr/bin/python3", "-c", _REACHES, address, str(port))
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        assert ended.returncode == 0 or "refused" in ended.stderr, ended.stderr
        return ended.returncode == 0


@pytest.fixture
def network() -> Iterator[Network]:
    if os.geteuid() != 0 or not all(map(shutil.which, ("iptables", "unshare", "nsenter", "setpriv", "ip"))):
        pytest.skip("needs root, and iptables and iproute2")
    # It listens as the metadata service and the ECS agent do, and ends with its standard input.
    listen = """
import socket, sys
servers = [socket.create_server(pair) for pair in (("169.254.169.254", 80), ("127.0.0.1", 51679), ("10.0.0.5", 80))]
print("up", flush=True)
sys.stdin.read()
"""
    addresses = "".join(f"ip address add {one}/32 dev lo\n" for one in ("169.254.169.254", "169.254.170.2", "10.0.0.5"))
    script = f'set -e\nip link set lo up\n{addresses}exec /usr/bin/python3 -c "$1"'
    command = ("unshare", "--net", "sh", "-c", script, "sh", listen)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        yield Network(holder)
        assert holder.stdin is not None
        holder.stdin.close()


def test_only_the_simulator_is_kept_from_the_credentials_of_instance_and_job(
    network: Network, instance: dict[str, str], tmp_path: Path
) -> None:
    """With the kernel's own rules; the metadata of this instance has no port of its own to be asked at."""
    # What ecs-init sets: github.com/aws/amazon-ecs-agent/blob/master/README.md
    credentials = ("-p", "tcp", "-d", "169.254.170.2", "--dport", "80", "-j", "REDIRECT", "--to-ports", "51679")
    network.run("iptables", "-t", "nat", "-A", "OUTPUT", *credentials)
    places = (("169.254.169.254", 80), ("169.254.170.2", 80), ("127.0.0.1", 51679))
    assert all(network.reaches(*place, SIMULATOR_UID) for place in places)

    (tmp_path / "commands" / "iptables").unlink()
    network.run(str(BOOT), **instance)

    assert [network.reaches(*place, SIMULATOR_UID) for place in places] == [False] * 3
    assert [network.reaches(*place, 0) for place in places] == [True] * 3
    # All else is open to it: nodes talk to each other, and downloads go on.
    assert network.reaches("10.0.0.5", 80, SIMULATOR_UID)
