"""The run table: what ended stays as it is, and nothing late of an older execution reaches a newer one."""

from datetime import UTC, datetime, timedelta

import pytest

from gaitway.aws.run_table import BY_STATE, NoIndexError, RunTable
from gaitway.contracts.errors import Failure
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig
from gaitway.contracts.run import Progress, RunRecord, RunSpec, RunState
from gaitway.contracts.workload import TrainingConfig
from tests.local.control_plane.world import INDEXES, create_run_table
from tests.local.emulator import Emulator

NOW = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
FIRST = "arn:aws:states:us-east-1:000000000000:execution:pipeline:run-1-first"
SECOND = "arn:aws:states:us-east-1:000000000000:execution:pipeline:run-1-second"


def record(execution: str = FIRST, state: RunState = RunState.ACCEPTED) -> RunRecord:
    return RunRecord(run_id="run-1", state=state, created_at=NOW, updated_at=NOW, execution_arn=execution)


@pytest.fixture(scope="module")
def dynamodb(emulator: Emulator) -> object:
    return emulator.client("dynamodb")


@pytest.fixture
def table(dynamodb: object) -> RunTable:
    return create_run_table(dynamodb)


def test_a_record_is_read_as_it_was_written(table: RunTable) -> None:
    full = RunRecord(
        run_id="run-1",
        state=RunState.RUNNING,
        created_at=NOW,
        updated_at=NOW,
        mode="train",
        task="Isaac-Cartpole-v0",
        attempt=2,
        started_at=NOW,
        phase="simulate",
        progress=Progress(done=3, total=5, mean_reward=1.5),
        spec=RunSpec(
            run_id="run-1",
            training=TrainingConfig(seed=1),
            compute=ComputeConfig(),
            output_files=S3Uri("assets", "out/"),
        ),
        failure=Failure(error="E", cause="c", retryable=True),
    )
    assert table.accept(full, "caller", instead_of=None)
    assert table.get("run-1") == full


def test_a_run_has_one_record(table: RunTable) -> None:
    assert table.accept(record(), "first", instead_of=None)
    assert not table.accept(record(SECOND), "token", instead_of=None)
    assert table.get("run-1") == record()
    assert table.caller("run-1", FIRST) == "first"


def test_a_field_is_set_removed_and_nothing_else_is_touched(table: RunTable) -> None:
    table.accept(record(), "caller", instead_of=None)
    assert table.update("run-1", job_id="job-1", phase="prepare")
    assert table.update("run-1", phase=None)
    changed = table.get("run-1")
    assert changed is not None
    assert (changed.job_id, changed.phase, changed.state) == ("job-1", None, RunState.ACCEPTED)
    assert changed.updated_at > NOW


def test_a_late_word_does_not_change_how_a_run_ended(table: RunTable) -> None:
    table.accept(record(), "caller", instead_of=None)
    assert table.update("run-1", state=RunState.FAILED)
    assert not table.update("run-1", state=RunState.RUNNING)
    assert table.update("run-1", unless_ended=False, phase="salvaged")


def test_a_run_that_is_not_there_is_not_made_by_an_update(table: RunTable) -> None:
    assert not table.update("run-1", phase="prepare")
    assert table.get("run-1") is None


def test_an_older_execution_may_not_touch_a_run_that_was_begun_anew(table: RunTable) -> None:
    table.accept(record(), "first caller", instead_of=None)
    table.update("run-1", state=RunState.FAILED)
    failed = table.get("run-1")
    assert failed is not None
    assert table.accept(record(SECOND), "second caller", instead_of=failed)

    assert not table.update("run-1", of_execution=FIRST, state=RunState.FAILED)
    assert not table.give_token("run-1", FIRST, "inner", "late token")
    assert table.caller("run-1", FIRST) is None
    assert table.caller("run-1", SECOND) == "second caller"
    assert table.update("run-1", of_execution=SECOND, state=RunState.QUEUED)


def test_of_two_that_begin_a_run_anew_one_wins(table: RunTable) -> None:
    table.accept(record(), "first caller", instead_of=None)
    table.update("run-1", state=RunState.FAILED)
    failed = table.get("run-1")
    assert table.accept(record(SECOND), "winner", instead_of=failed)
    assert not table.accept(record(f"{SECOND}-too"), "loser", instead_of=failed)
    assert table.tokens("run-1").external == "winner"


def test_beginning_anew_forgets_the_task_that_waited_for_the_old_job(table: RunTable) -> None:
    table.accept(record(), "first caller", instead_of=None)
    table.give_token("run-1", FIRST, "inner", "old task")
    assert table.accept(record(SECOND), "second caller", instead_of=table.get("run-1"))
    assert table.tokens("run-1").inner is None


def test_nobody_joins_a_run_that_has_ended(table: RunTable) -> None:
    table.accept(record(), "first caller", instead_of=None)
    assert table.give_token("run-1", FIRST, "external", "second caller")
    table.update("run-1", state=RunState.SUCCEEDED)
    assert not table.give_token("run-1", FIRST, "external", "third caller")
    assert table.caller("run-1", FIRST) == "second caller"


def test_tokens_are_kept_apart_from_what_everybody_may_read(table: RunTable) -> None:
    table.accept(record(), "AQC-secret", instead_of=None)
    assert "AQC-secret" not in repr(table.get("run-1"))
    assert "AQC-secret" not in repr(table.tokens("run-1"))
    found = table.list_in(RunState.ACCEPTED)
    assert "AQC-secret" not in repr([*found])


def test_runs_are_found_by_their_state_the_oldest_first_and_those_that_ended_are_not_read(table: RunTable) -> None:
    for age, (run_id, state) in enumerate(
        [("ended", RunState.FAILED), ("new", RunState.QUEUED), ("old", RunState.QUEUED), ("on", RunState.RUNNING)]
    ):
        created_at = NOW - timedelta(minutes=age)
        one = record(f"{FIRST}-{run_id}", state).model_copy(update={"run_id": run_id, "created_at": created_at})
        table.accept(one, "secret", instead_of=None)
    table.update("old", job_id="job-1", phase="prepare")

    found = list(table.list_in(RunState.QUEUED, RunState.RUNNING))

    assert [run.run_id for run in found] == ["old", "new", "on"]
    assert found[0] == ("old", RunState.QUEUED, NOW - timedelta(minutes=2), f"{FIRST}-old", "job-1")


def test_the_runs_of_a_group_are_found_whatever_their_state(table: RunTable) -> None:
    for age, (run_id, state, group_id) in enumerate(
        [("new", RunState.QUEUED, "g"), ("alone", RunState.QUEUED, None), ("old", RunState.FAILED, "g")]
    ):
        changes = {"run_id": run_id, "created_at": NOW - timedelta(minutes=age), "group_id": group_id}
        one = record(f"{FIRST}-{run_id}", state).model_copy(update=changes)
        table.accept(one, "secret", instead_of=None)

    assert [(run.run_id, run.state) for run in table.list_group("g")] == [
        ("old", RunState.FAILED),
        ("new", RunState.QUEUED),
    ]
    assert [run.run_id for run in table.list_group("g", newest_first=True)] == ["new", "old"]
    assert list(table.list_group("another")) == []


def test_a_token_is_read_together_with_the_job_that_it_was_given_to(table: RunTable) -> None:
    table.accept(record(), "caller", instead_of=None)
    table.give_token("run-1", FIRST, "inner", "task")
    table.update("run-1", job_id="job-1")
    owned, tokens = table.owned("run-1", FIRST)
    assert owned is not None
    assert (owned.job_id, tokens.inner, tokens.external) == ("job-1", "task", "caller")
    owned, tokens = table.owned("run-1", SECOND)
    assert (owned, tokens.inner, tokens.external) == (None, None, None)


def test_a_table_from_before_there_were_groups_is_named(dynamodb: object) -> None:
    table = create_run_table(dynamodb, {BY_STATE: INDEXES[BY_STATE]})
    with pytest.raises(NoIndexError, match="has no index of groups"):
        list(table.list_group("g"))
