"""The wheel alone, in an environment of its own: the command line, without torch, the CDK or a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.launcher import LocalAws
from tests.local.deployed import ControlPlane

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Run = Callable[..., subprocess.CompletedProcess[str]]


def tracked(folder: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", folder], cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name and (REPOSITORY_ROOT / name).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout. It is built from a copy, since a build leaves files beside the sources."""
    directory = tmp_path_factory.mktemp("wheel")
    for name in (*tracked("gaitway"), "pyproject.toml", "README.md", "LICENSE"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY_ROOT / name, directory / name)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", "dist", "."], cwd=directory, check=True
    )
    [built] = (directory / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it needs, in the versions of this checkout, and nothing else."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    pins = directory / "pins.txt"
    # As constraints, pins must not have extras.
    lines = (line.partition("#")[0] for line in (REPOSITORY_ROOT / "requirements.txt").read_text().splitlines())
    pins.write_text("\n".join(line for line in lines if "[" not in line))
    subprocess.run(
        [
            str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "-c", str(pins), "-c", str(REPOSITORY_ROOT / "constraints.txt"), str(wheel),
        ],
        check=True,
    )  # fmt: skip
    return directory


@pytest.fixture
def run(environment: Path, tmp_path: Path) -> Run:
    """Run a program of the environment, as a user with nothing else."""

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        home = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
        program = str(environment / "bin" / words[0])
        return subprocess.run(
            [program, *words[1:]],
            env=kept | home | variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_it_holds_the_package_with_all_its_files_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == set(tracked("gaitway"))


@pytest.mark.parametrize("module", ["torch", "aws_cdk", "ministack", "tensorboard", "numpy", "stacks", "lambdas"])
def test_what_the_command_line_does_not_need_is_not_there(run: Run, module: str) -> None:
    ended = run("python", "-c", f"import {module}")
    assert f"No module named '{module}'" in ended.stderr


def test_every_module_of_the_command_line_can_be_imported(run: Run) -> None:
    code = (
        "import importlib, pkgutil, gaitway.cli, gaitway.client, gaitway.acceptance as a\n"
        "for package in (gaitway.cli, gaitway.client, a, importlib.import_module('gaitway.report')):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name); print(module.name)"
    )
    ended = run("python", "-c", code)
    assert ended.returncode == 0, ended.stderr
    assert {"gaitway.cli.show", "gaitway.acceptance.page", "gaitway.report.template"} <= set(ended.stdout.split())


def test_it_explains_itself(run: Run) -> None:
    ended = run("gaitway", "--help")
    assert ended.returncode == 0, ended.stderr
    assert "Train and evaluate robot policies" in ended.stdout


def test_it_shows_the_runs_of_an_account(run: Run, local_aws: LocalAws, plane: ControlPlane) -> None:
    lost = f"s3://{plane.bucket}/no/model_9.pt"
    execution = plane.run_workflow({"inputParameters": {"trainingConfig": {"mode": "evaluate", "policyS3Uri": lost}}})
    record = plane.record_of(execution)
    assert record is not None

    ended = run("gaitway", "ls", "--json", **local_aws.environment())

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("Using the AWS account")
    assert (record.run_id, "failed") in {(one["run_id"], one["state"]) for one in json.loads(ended.stdout)}


def test_what_needs_more_says_what_to_install(run: Run, local_aws: LocalAws) -> None:
    for words in (["demo"], ["local", "up"], ["local", "status"]):
        ended = run("gaitway", *words)
        assert ended.returncode == 2
        assert "needs a checkout of the repository" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    ended = run("gaitway", "tensorboard", "run-1", **local_aws.environment())
    assert ended.stderr == (
        "Error: gaitway tensorboard needs tensorboard, which is not installed: "
        "run `pip install 'gaitway[tensorboard]'`\n"
    )
    ended = run("python", "-c", "from gaitway.simulators import VectorEnvironment")
    assert ended.stderr.splitlines()[-1] == (
        "gaitway.installation.NotInstalledError: gaitway.simulators.VectorEnvironment needs torch, which is not "
        "installed: run `pip install 'gaitway[simulators]'`"
    )


def test_the_doctor_names_what_is_deployed_and_itself(run: Run, local_aws: LocalAws) -> None:
    ended = run("gaitway", "doctor", **local_aws.environment())
    assert f"{local_aws.deployment.gaitway_version} is deployed" in " ".join(ended.stdout.split())
