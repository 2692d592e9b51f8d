"""The files of the image `isaaclab-3`, by its own pins and commands, and its runner in them. `make test-image` runs it.

It downloads 3.2 GB the first time, so that it is no part of `make test-all`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from container import pin_isaaclab3
from gaitway.contracts.artifacts import Results
from gaitway.contracts.workload import TrainingConfig
from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.extensions.batch.images import Image
from tests.local.emulator import Emulator
from tests.local.image_tree import ARCHITECTURE, LEFT_OUT, Tree, build
from tests.local.runner_world import World

PYTHON = os.environ.get("GAITWAY_IMAGE_PYTHON")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not PYTHON, reason="GAITWAY_IMAGE_PYTHON names no Python 3.12: `make test-image`"),
]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return build(REPOSITORY_ROOT / "build" / "image-isaaclab-3", PYTHON or "")


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path, tree: Tree) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    # There is no such user here, and no one but this one may read the repository.
    variables = {name: value for name, value in tree.environment.items() if name != "GAITWAY_SIMULATOR_UID"}
    path = f"{tree.python.parent}{os.pathsep}{os.environ['PATH']}"
    entrypoint = tree.folder / "src" / "container" / "entrypoint.sh"
    world.image = replace(Image([str(entrypoint)]), environment=variables | {"PATH": path})
    yield world
    world.close()


def test_every_package_is_the_pinned_one_and_listed_with_its_licence(tree: Tree) -> None:
    """The build itself fails where another release is installed."""
    document = json.loads((tree.folder / "sbom.cdx.json").read_text(encoding="utf-8"))
    listed = {component["name"]: component["version"] for component in document["components"]}
    assert listed == pin_isaaclab3.pinned()
    unlicensed = {component["name"] for component in document["components"] if "licenses" not in component}
    assert not {"isaaclab", "newton", "warp-lang", "torch"} & unlicensed
    assert all(any(command in line for command in LEFT_OUT) for line in tree.left_out)


def test_it_brings_kernels_for_gpus_alone(tree: Tree) -> None:
    files = [path for path in (tree.folder / "kernels").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".cubin", ".meta"}
    compiled = [path for path in files if path.suffix == ".cubin"]
    assert len(compiled) > 40
    assert all(path.name.endswith(f".sm{ARCHITECTURE}.cubin") for path in compiled)
    assert all(path.read_bytes().startswith(b"\x7fELF") for path in compiled)


def test_its_runner_trains_and_says_which_versions_ran(world: World, tree: Tree) -> None:
    world.submit(
        TrainingConfig(task="Isaac-Cartpole-Direct", num_envs=16, max_iterations=3), heartbeat_timeout_seconds=600
    )

    # A job has NVIDIA's robots, unless it names the image's; the simulator is the image's own.
    simulator = tree.environment["GAITWAY_SIMULATOR"]
    job = world.start_image(GAITWAY_SIMULATOR=simulator, ISAACSIM_ASSET_ROOT=str(tree.folder / "assets"))

    assert job.wait() == 0, job.output
    assert world.outcome()["status"] == "SUCCEEDED"
    results = Results.model_validate_json(world.objects()["results.json"])
    assert results.ran_with is not None
    assert results.ran_with.simulator == "isaaclab-3"
    ran = results.ran_with.versions
    assert ran.pop("python").startswith("3.12.")
    assert {name: version.partition("+")[0] for name, version in ran.items()}.items() <= pin_isaaclab3.pinned().items()
    assert {"isaaclab", "newton", "warp-lang", "torch", "rsl-rl-lib"} <= set(ran)
    # The kernels of the image are those of the deployment, beside what this CPU needed.
    shared = world.efs_root / "caches" / "warp"
    assert len(list(shared.rglob("*.cubin"))) == len(list((tree.folder / "kernels").rglob("*.cubin")))
    assert list(shared.rglob("*.o"))
