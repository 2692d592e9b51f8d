"""How runs are written for people and for programs."""

import io
import json
from datetime import UTC, datetime, timedelta

from rich.console import Console

from gaitway.cli.show import document_of, list_table, request_table, run_table
from gaitway.contracts.errors import Failure
from gaitway.contracts.history import Cost, Machine
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import ComputeConfig, parse_request
from gaitway.contracts.run import Progress, RunRecord, RunSpec, RunState
from gaitway.contracts.workload import TrainingConfig

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECORD = RunRecord(
    run_id="run-0123456789abcdef0123",
    state=RunState.FAILED,
    created_at=NOW,
    updated_at=NOW,
    ended_at=NOW + timedelta(minutes=2, seconds=5),
    mode="train",
    task="Isaac-Ant-v0",
    name="[bold]ant",
    message_digest="d1gest",
    progress=Progress(done=3, total=80, mean_reward=1.25),
    spec=RunSpec(
        run_id="run-0123456789abcdef0123",
        training=TrainingConfig(task="Isaac-Ant-v0"),
        compute=ComputeConfig(num_nodes=2),
        output_files=S3Uri("bucket", "outputs/"),
    ),
    failure=Failure.reported("StalledError", "no progress for 30 minutes"),
)


def written(renderable: object) -> str:
    output = io.StringIO()
    Console(file=output, width=200).print(renderable)
    return output.getvalue()


def test_a_line_of_the_list_is_short_and_a_name_is_no_markup() -> None:
    header, line = written(list_table([RECORD], NOW + timedelta(hours=1))).splitlines()
    assert header.split() == ["RUN", "STATE", "MODE", "TASK", "NAME", "PROGRESS", "REWARD", "AGE", "TOOK"]
    assert line.split("  ")[0] == "run-01234567"
    for words in ("failed", "Isaac-Ant-v0", "[bold]ant", "3/80", "1.2", "1 h", "2 min 5 s"):
        assert words in line


def test_where_runs_are_on_several_back_ends_the_list_says_on_which() -> None:
    assert RECORD.spec is not None
    compute = ComputeConfig.model_validate({"backend": "hyperpod-slurm"})
    elsewhere = RECORD.model_copy(update={"spec": RECORD.spec.model_copy(update={"compute": compute})})
    unread = RECORD.model_copy(update={"spec": None})
    header, *lines = written(list_table([RECORD, elsewhere, unread], NOW)).splitlines()
    place = slice(header.index("BACKEND"), header.index("TASK"))
    assert [line[place].strip() for line in lines] == ["batch", "hyperpod-slurm", ""]


def test_a_narrow_terminal_shortens_names_and_nothing_else() -> None:
    output = io.StringIO()
    record = RECORD.model_copy(
        update={"task": "Isaac-Velocity-Rough-Anymal-C-v0", "name": "a name that is rather long"}
    )
    Console(file=output, width=80).print(list_table([record], NOW + timedelta(hours=1)))
    header, line = output.getvalue().splitlines()
    assert header.split()[-1] == "TOOK"
    for words in ("run-01234567", "failed", "train", "…", "3/80", "1.2", "1 h", "2 min 5 s"):
        assert words in line


def test_a_run_is_shown_with_its_failure_and_without_what_is_not_known() -> None:
    text = written(run_table(RECORD))
    assert "StalledError" in text
    assert "no progress for 30 minutes" in text
    assert "s3://bucket/outputs/" in text
    assert "None" not in text


def one_line(record: RunRecord) -> str:
    """Write a run without what only places the words."""
    return " ".join(written(run_table(record)).split())


def test_a_run_is_shown_with_its_machine_and_its_cost() -> None:
    machine = Machine(instance_type="g6.2xlarge", nodes=2, usd_per_hour=0.9776, price_as_of="2026-11-21")
    record = RECORD.model_copy(update={"machine": machine, "cost": Cost(usd=1.239, machine_seconds=4562)})
    lines = [line.split() for line in written(run_table(record)).splitlines()]
    assert ["machine", "2", "x", "g6.2xlarge"] in lines
    assert ["cost", "1.24", "USD"] in lines
    assert [
        "computed",
        "from",
        "0.9776",
        "USD",
        "an",
        "hour",
        "of",
        "g6.2xlarge",
        "(list",
        "price",
        "of",
        "2026-11-21)",
    ] in lines
    document = json.loads(json.dumps(document_of(record)))
    assert document["machine"]["instance_type"] == "g6.2xlarge"
    assert document["cost"] == {"usd": 1.239, "machine_seconds": 4562.0}


def test_of_a_node_that_runs_share_the_part_is_shown() -> None:
    machine = Machine(instance_type="ml.g6.12xlarge", usd_per_hour=5.0, price_as_of="setting", share=0.25)
    record = RECORD.model_copy(update={"machine": machine, "cost": Cost(usd=1.25, machine_seconds=3600)})
    lines = [line.split() for line in written(run_table(record)).splitlines()]
    assert ["machine", "25%", "of", "ml.g6.12xlarge"] in lines
    assert [
        "computed",
        "from",
        "5",
        "USD",
        "an",
        "hour",
        "of",
        "ml.g6.12xlarge,",
        "of",
        "which",
        "the",
        "run",
        "has",
        "25%",
        "(instancePrices)",
    ] in lines


def test_a_program_reads_a_run_without_what_the_functions_keep_for_themselves() -> None:
    document = json.loads(json.dumps(document_of(RECORD)))
    assert (document["state"], document["progress"]["done"]) == ("failed", 3)
    assert document["output_files"] == "s3://bucket/outputs/"
    assert document["failure"]["error"] == "StalledError"
    assert "message_digest" not in document
    assert "d1gest" not in json.dumps(document)


def test_a_request_is_shown_with_what_its_mode_uses() -> None:
    training = written(request_table(parse_request({})))
    assert "maxIterations" in training
    assert "numEpisodes" not in training
    evaluation = written(request_table(parse_request({"trainingConfig": {"mode": "evaluate"}})))
    assert "numEpisodes" in evaluation
    assert "maxIterations" not in evaluation
