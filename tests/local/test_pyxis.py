"""The stand-in for Pyxis gives a step its image's environment, and srun the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gaitway.local import pyxis

IMAGE = "gaitway/embedded:local"


@pytest.fixture
def srun(tmp_path: Path) -> list[str]:
    """The command that stands for srun; the real one shows what it gets."""
    real = tmp_path / "srun"
    real.write_text('#!/bin/sh\necho "$GAITWAY_SIMULATOR $GAITWAY_RUN_TABLE"\necho "$*"\n')
    real.chmod(0o755)
    images = tmp_path / "images.json"
    image = {"environment": {"GAITWAY_SIMULATOR": "embedded"}, "files": {"/opt/gaitway/src": "/repository"}}
    images.write_text(json.dumps({IMAGE: image}))
    return [sys.executable, pyxis.__file__, str(images), str(real)]


def step(command: list[str]) -> subprocess.CompletedProcess[str]:
    job = {"GAITWAY_SIMULATOR": "the job's", "GAITWAY_RUN_TABLE": "runs"}
    return subprocess.run(command, env=job, capture_output=True, text=True, check=False)


def test_what_the_image_sets_comes_before_what_the_job_has(srun: list[str]) -> None:
    options = ["--open-mode=append", f"--container-image={IMAGE}", "--container-mounts=/mnt:/mnt"]
    done = step([*srun, *options, "/opt/gaitway/src/container/entrypoint.sh", "run-1"])
    assert done.stdout.splitlines() == [
        "embedded runs",
        "--open-mode=append /repository/container/entrypoint.sh run-1",
    ]


def test_without_an_image_it_is_srun(srun: list[str]) -> None:
    done = step([*srun, "--nodes=1", "hostname", "--container-image=x"])
    assert done.stdout.splitlines() == ["the job's runs", "--nodes=1 hostname --container-image=x"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--container-image=gaitway/isaaclab-9:local", "failed to import docker image gaitway/isaaclab-9:local"),
        ("--container-name=x", "does not know --container-name=x"),
    ],
)
def test_an_image_that_is_not_there_and_other_options_fail_the_step(srun: list[str], option: str, message: str) -> None:
    done = step([*srun, option, "hostname"])
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
