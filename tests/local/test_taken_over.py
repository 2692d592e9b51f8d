"""Several jobs or attempts think that a run is theirs: one does it, and the others write nothing and report nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gaitway.contracts.artifacts import MANIFEST, REPORT, RESULTS, Manifest, Results
from gaitway.contracts.run import RunState
from gaitway.runner.run import EXIT_DONE, Clients
from gaitway.runner.stop import StopRequest
from tests.local.emulator import Emulator
from tests.local.runner_world import World

SECOND_JOB = {"AWS_BATCH_JOB_ID": "job-2"}
FIRST_OF_THREE = {"AWS_BATCH_JOB_ATTEMPT": "1", "GAITWAY_JOB_ATTEMPTS": "3"}
SECOND_OF_THREE = {"AWS_BATCH_JOB_ATTEMPT": "2", "GAITWAY_JOB_ATTEMPTS": "3"}


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    world = World(emulator, tmp_path)
    world.create_bucket()
    world.submit()
    yield world
    world.close()


def once(client: Any, event: str, about: str, do: Callable[[], object]) -> None:
    """Do something before the first request of a kind that is about something."""
    done: list[bool] = []

    def act(params: Any, **_: object) -> None:
        if not done and about in str(params):
            done.append(True)
            do()

    client.meta.events.register(event, act)


def clients(world: World, event: str, about: str, do: Callable[[], object]) -> Clients:
    """Make a runner's clients, and do something before the first request of a kind: `before-call.s3.PutObject`."""
    made = world.clients()
    once(getattr(made, event.split(".")[1]), event, about, do)
    return made


def succeed(world: World) -> None:
    """End the run as collect_results does."""
    assert world.table.update(world.run_id, state=RunState.SUCCEEDED)


def assert_sealed(world: World) -> None:
    """The run's success stands as its manifest says."""
    objects = world.objects()
    assert Results.model_validate_json(objects[RESULTS]).status == "succeeded"
    manifest = Manifest.model_validate_json(objects[MANIFEST])
    held = {entry.path: hashlib.sha256(objects[entry.path]).hexdigest() for entry in manifest.files}
    assert held == {entry.path: entry.sha256 for entry in manifest.files}


@pytest.mark.parametrize("has_ended", [True, False], ids=["collected", "not collected yet"])
def test_a_second_job_of_one_submission_leaves_the_first_ones_success_alone(world: World, has_ended: bool) -> None:
    def the_first_job_does_it() -> None:
        assert world.run_here("succeed") == EXIT_DONE
        if has_ended:
            succeed(world)

    # It has read the record, in which there was no job yet, and not begun.
    late = clients(world, "before-call.dynamodb.UpdateItem", "attempts", the_first_job_does_it)

    assert world.run_here("succeed", late, variables=SECOND_JOB) == EXIT_DONE

    assert_sealed(world)
    assert (world.record.job_id, world.record.attempts) == ("job-1", 1)
    assert world.outcome()["status"] == "SUCCEEDED"


def test_an_attempt_has_begun_although_the_answer_to_that_was_lost(world: World) -> None:
    made = world.clients()
    lost: list[bool] = []

    def lose(parsed: Any, **_: object) -> None:
        if not lost and "ConsumedCapacity" not in parsed:
            lost.append(True)
            raise EndpointConnectionError(endpoint_url="https://dynamodb")

    made.dynamodb.meta.events.register("after-call.dynamodb.UpdateItem", lose)

    assert world.run_here("succeed", made) == EXIT_DONE

    assert lost
    assert world.record.attempts == 1
    assert world.outcome()["status"] == "SUCCEEDED"


def test_an_attempt_that_another_one_has_overtaken_writes_and_reports_nothing_more(world: World) -> None:
    def another_begins() -> None:
        assert world.table.begin_attempt(world.record, "job-1", attempt=2)

    cut_off = clients(world, "before-call.s3.HeadObject", RESULTS, another_begins)

    assert world.run_here("succeed", cut_off, variables=FIRST_OF_THREE) == EXIT_DONE

    assert not {RESULTS, MANIFEST} & world.objects().keys()
    assert world.status(world.execution) == "RUNNING"
    assert world.run_here("succeed", variables=SECOND_OF_THREE) == EXIT_DONE
    assert world.outcome()["status"] == "SUCCEEDED"
    assert_sealed(world)


def test_an_upload_on_its_way_does_not_write_over_the_attempt_that_overtook_it(world: World) -> None:
    def another_begins_and_writes() -> None:
        assert world.table.begin_attempt(world.record, "job-1", attempt=2)
        world.s3.put_object(Bucket=world.bucket, Key=(world.output / RESULTS).key, Body=b"the newer attempt's")

    # After it was told that the run is its own.
    cut_off = clients(world, "before-call.s3.PutObject", RESULTS, another_begins_and_writes)

    assert world.run_here("succeed", cut_off, variables=FIRST_OF_THREE) == EXIT_DONE

    assert world.objects()[RESULTS] == b"the newer attempt's"
    assert MANIFEST not in world.objects()


def test_an_attempt_that_fails_saves_nothing_of_a_run_that_has_succeeded(world: World) -> None:
    def another_job_succeeds() -> None:
        world.s3.put_object(Bucket=world.bucket, Key=(world.output / RESULTS).key, Body=b"a success")
        succeed(world)

    late = clients(world, "before-call.s3.HeadObject", RESULTS, another_job_succeeds)

    world.run_here("diverge", late)

    objects = world.objects()
    assert objects[RESULTS] == b"a success"
    assert not {REPORT, "simulator.log"} & objects.keys()


def test_an_attempt_whose_run_has_succeeded_meanwhile_reports_nothing(world: World) -> None:
    made, stop = world.clients(), StopRequest()
    once(made.s3, "before-call.s3.HeadObject", "", lambda: succeed(world))

    assert world.run_here("succeed", made, stop) == EXIT_DONE

    assert world.objects() == {}
    assert world.status(world.execution) == "RUNNING"
