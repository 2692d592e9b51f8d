"""Packages that bring tasks of their own, through the deployed stacks."""

import json
import shutil
import subprocess
import sys
import tarfile
import uuid
import zipfile
from pathlib import Path

import pytest
import yaml

from gaitway.client.runs import StartedRun
from gaitway.contracts.artifacts import Results
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import parse_request
from tests.local.deployed import ControlPlane, Json

EXAMPLES = Path(__file__).parents[2] / "examples"
TASK = "Example-Cartpole-Centred-Direct-v0"
WHEEL = "cartpole_centred-1.0.0-py3-none-any.whl"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built as docs/custom-environments.md says: a wheel, and an archive of the project as it is."""
    directory = tmp_path_factory.mktemp("packages")
    # A build leaves files beside the sources.
    sources = shutil.copytree(EXAMPLES / "custom_env", directory / "custom_env")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(directory), str(sources)], check=True
    )
    with tarfile.open(directory / "project.tar.gz", "w:gz") as archive:
        archive.add(EXAMPLES / "custom_env", "custom_env", filter=without_caches)
    return directory


def without_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name else member


class Asset:
    """A folder of the asset bucket, with a package in it."""

    def __init__(self, plane: ControlPlane, package: Path) -> None:
        self._plane = plane
        self._folder = f"custom/{uuid.uuid4().hex}"
        self.package = package.name
        plane.put(f"{self._folder}/{package.name}", package.read_bytes())

    def start(self, example: str, **changes: object) -> StartedRun:
        """Start a run by an example's file, which lies beside the package."""
        document: Json = json.loads((EXAMPLES / example).read_text())
        document["customEnvironmentPath"] = self.package
        policy = changes.pop("policy", None)
        document["trainingConfig"] |= changes
        file = self._plane.put(f"{self._folder}/{example}", json.dumps(document).encode())
        parameters: Json = {"trainingConfig": {"mode": document["trainingConfig"]["mode"]}}
        if policy is not None:
            parameters["trainingConfig"]["policyS3Uri"] = str(policy)
        return self._plane.runs.start(parse_request(parameters), input_file=file)


def results(plane: ControlPlane, run: StartedRun, directory: Path) -> Results:
    """Wait for a run that must succeed, and fetch what it left."""
    execution = plane.ended(run.execution_arn)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    plane.runs.fetch(run.output_files, directory)
    return Results.model_validate_json((directory / "results.json").read_bytes())


def test_a_package_trains_from_a_wheel_and_from_a_plain_archive_and_is_evaluated(
    plane: ControlPlane, packages: Path, tmp_path: Path
) -> None:
    wheel, archive = Asset(plane, packages / WHEEL), Asset(plane, packages / "project.tar.gz")
    few = {"rlLibrary": "skrl", "numEnvs": 16}
    trainings = {
        wheel: wheel.start("custom-environment-train.json"),
        archive: archive.start("custom-environment-train.json", **few, maxIterations=2),
    }
    policies: dict[Asset, S3Uri] = {}
    for asset, run in trainings.items():
        trained = results(plane, run, tmp_path / asset.package)
        assert trained.training is not None
        policies[asset] = run.output_files / trained.training.final_checkpoint
        params = yaml.safe_load((tmp_path / asset.package / "params" / "env.yaml").read_text())
        assert params["rew_scale_cart_pos"] == -0.5
    assert [policies[asset].name for asset in trainings] == ["model_79.pt", "agent_64.pt"]

    evaluated = results(
        plane, wheel.start("custom-environment-evaluate.json", policy=policies[wheel]), tmp_path / "evaluated"
    )

    assert evaluated.task == TASK
    evaluation = evaluated.evaluation
    assert evaluation is not None
    assert evaluation.episodes == 100
    assert evaluation.success_rate >= 0.9


def test_a_package_that_fails_is_told_in_the_words_of_its_traceback_before_two_processes_train(
    plane: ControlPlane, packages: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(packages / WHEEL) as wheel, zipfile.ZipFile(broken, "w") as archive:
        for name in wheel.namelist():
            content = wheel.read(name).decode()
            if name.endswith("embedded.py"):
                content = content.replace("return super()._rewards", "return super()._reward")
            archive.writestr(name, content)
    s3_uri = plane.put(f"custom/{uuid.uuid4().hex}/broken.zip", broken.read_bytes())
    request = {
        "customEnvironmentS3Uri": str(s3_uri),
        "trainingConfig": {"task": TASK, "numEnvs": 16, "maxIterations": 2},
        "computeConfig": {"gpusPerNode": 2},
    }

    execution = plane.run_workflow({"mode": "train", "inputParameters": request})

    assert (execution["status"], execution["error"]) == ("FAILED", "CustomEnvironmentError"), execution
    assert execution["cause"].startswith("the pre-flight (a short trial before the training itself) failed: ")
    assert "AttributeError: 'super' object has no attribute '_reward'" in execution["cause"]
    assert "(cartpole_centred/embedded.py, line " in execution["cause"]
    record = plane.record_of(execution)
    assert record is not None
    assert record.phase == "preflight"
    assert record.failure is not None
    assert not record.failure.retryable
    assert record.attempt == 1
