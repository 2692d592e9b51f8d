"""The scripts around the runner: the image's entry point, and an instance's first steps. They run here as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.infra.templates import ROOT

ENTRYPOINT = ROOT / "container" / "entrypoint.sh"
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
    assert said == f"{process.pid} -P -m container.start run-1\n"


def test_what_it_becomes_is_the_runner(variables: dict[str, str]) -> None:
    ended = enter(variables, "run-1")
    assert ended.returncode == 1
    assert "GAITWAY_RUN_TABLE" in ended.stderr


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
        (("run-1",), {"GAITWAY_SIMULATOR": "isaaclab", "GAITWAY_GPU_DEVICE": "/nowhere"}, "no GPU in this container"),
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
    for name in ("mknod", "modprobe"):
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


class InstanceMetadata(BaseHTTPRequestHandler):
    """What an instance's metadata service answers to who has a token, as version 2 demands it."""

    lifecycle = "spot"

    def do_PUT(self) -> None:
        self.answer("a-token" if self.path == "/latest/api/token" else None)

    def do_GET(self) -> None:
        known = {"instance-type": "g6.2xlarge", "instance-life-cycle": self.lifecycle}
        has_token = self.headers["X-aws-ec2-metadata-token"] == "a-token"
        self.answer(known.get(self.path.removeprefix("/latest/meta-data/")) if has_token else None)

    def answer(self, text: str | None) -> None:
        self.send_response(200 if text else 401)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), InstanceMetadata) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("lifecycle", "purchase"), [("spot", "spot"), ("on-demand", "on-demand"), ("x", "on-demand")])
def test_an_instance_writes_down_what_it_is(
    instance: dict[str, str],
    metadata: ThreadingHTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    lifecycle: str,
    purchase: str,
) -> None:
    monkeypatch.setattr(InstanceMetadata, "lifecycle", lifecycle)
    service = {"GAITWAY_METADATA_SERVICE": f"http://127.0.0.1:{metadata.server_port}"}
    subprocess.run([BOOT], env=instance | service, check=True, capture_output=True)
    machine = json.loads(Path(instance["GAITWAY_MACHINE_FILE"]).read_text(encoding="utf-8"))
    assert machine == {"instanceType": "g6.2xlarge", "purchase": purchase}


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
    assert settings["ECS_CLUSTER"] == "batch"
    # Containers run as other users than the one that boots, and must not delete each other's files.
    assert Path(instance["GAITWAY_CACHE"]).stat().st_mode & 0o7777 == 0o1777


def test_an_instance_without_an_adapter_gets_a_device_that_cannot_be_opened(instance: dict[str, str]) -> None:
    device = Path(instance["GAITWAY_DEVICES"]) / "uverbs0"
    said = subprocess.run([BOOT], env=instance, check=True, capture_output=True, text=True).stdout
    assert said == f"modprobe efa\nmknod -m 0600 {device} c 231 192\n"


def test_an_instance_with_an_adapter_keeps_its_device(instance: dict[str, str], tmp_path: Path) -> None:
    device = Path(instance["GAITWAY_DEVICES"]) / "uverbs0"
    executable(tmp_path / "commands" / "modprobe", f'mkdir -p "{device.parent}"; touch "{device}"')
    said = subprocess.run([BOOT], env=instance, check=True, capture_output=True, text=True).stdout
    assert said == ""


def test_an_instance_whose_image_has_no_driver_boots(instance: dict[str, str], tmp_path: Path) -> None:
    executable(tmp_path / "commands" / "modprobe", "exit 1")
    said = subprocess.run([BOOT], env=instance, check=True, capture_output=True, text=True)
    assert "mknod" in said.stdout
    assert "no driver" in said.stderr
