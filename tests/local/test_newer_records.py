"""Runners whose image is older than the functions: docs/upgrading.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.artifacts import Manifest
from gaitway.contracts.run import to_json
from gaitway.runner.run import EXIT_DONE, EXIT_FAILED
from tests.local.emulator import Emulator
from tests.local.runner_world import World
from tests.older import TOLERANT, checked_out


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    world.submit()
    yield world
    world.close()


def spec_of(world: World) -> dict[str, Any]:
    spec = world.record.spec
    assert spec is not None
    return to_json(spec)


def write_more(world: World) -> None:
    """Write into the run's record what only a newer version knows."""
    spec = spec_of(world) | {"later": {"deep": 1}}
    spec["training"]["later"] = spec["compute"]["later"] = None
    cost = {"usd": 0.5, "machine_seconds": 10, "later": "x"}
    failure = {"later": "x"}
    written = {"spec": spec, "cost": cost, "failure": failure}
    texts: dict[str, Any] = {name: json.dumps(value) for name, value in written.items()}
    world.table.update(world.run_id, later="x", **texts)


@pytest.mark.parametrize("has_more", [False, True], ids=["today's", "tomorrow's"])
def test_an_older_commits_runner_runs_a_newer_record(world: World, tmp_path: Path, has_more: bool) -> None:
    """Today's function reads its manifest."""
    world.sources = checked_out(TOLERANT, tmp_path / "older", "container", "gaitway", "tests")
    if has_more:
        write_more(world)

    job = world.start_job("succeed")

    assert job.wait() == EXIT_DONE, job.output
    assert world.outcome()["status"] == "SUCCEEDED"
    manifest = world.objects()["manifest.json"]
    assert Manifest.read(manifest).files


def test_a_record_with_more_fields_than_the_image_knows_is_run(world: World) -> None:
    write_more(world)

    assert world.run_here("succeed") == EXIT_DONE

    assert world.outcome()["status"] == "SUCCEEDED"


def test_a_record_that_the_image_would_misunderstand_is_refused(world: World) -> None:
    world.table.update(world.run_id, schema_version=99)

    assert world.run_here("succeed") == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == "PlatformError"
    assert "schema version 99" in outcome["cause"]
    assert "Deploy functions and image of one version" in outcome["cause"]


def test_a_specification_that_the_image_cannot_read_is_refused_and_nothing_is_made_up(world: World) -> None:
    spec = spec_of(world)
    spec["training"]["mode"] = "imitate"
    world.table.update(world.run_id, spec=json.dumps(spec))

    assert world.run_here("succeed") == EXIT_FAILED

    outcome = world.outcome()
    assert outcome["error"] == "ArtifactError"
    assert "is the image as new as the functions?" in outcome["cause"]


def test_a_run_for_another_simulator_than_the_images_is_refused(world: World) -> None:
    """An image of one's own that was named for the wrong simulator: the results would be of other physics."""
    world.table.update(world.run_id, spec=json.dumps(spec_of(world) | {"simulator": "isaaclab-3"}))
    assert world.run_here("succeed") == EXIT_FAILED
    told = world.outcome()
    assert told["error"] == "PlatformError"
    assert "for the simulator isaaclab-3, and this image holds embedded" in told["cause"]
