"""The whole path of a run: our stacks on the embedded AWS, the real job and library, and what the caller is told."""

import contextlib
import csv
import json
import uuid
from pathlib import Path

import imageio.v3 as iio
import psutil
import pytest

from gaitway.contracts.artifacts import CHECKPOINTS, Results
from gaitway.contracts.model import S3Uri
from gaitway.contracts.request import Request, parse_request
from gaitway.contracts.run import RunState
from gaitway.runs import StartedRun
from tests.local.conformance.workflow import ROLE_ARN, until
from tests.local.deployed import RUN_SECONDS, TINY, ControlPlane, Json

ROOT = Path(__file__).parents[2]


def succeeded(plane: ControlPlane, request: Request, input_file: S3Uri | None = None) -> StartedRun:
    """Do a run that must succeed."""
    run = plane.runs.start(request, input_file=input_file)
    execution = plane.ended(run.execution_arn)
    assert execution["status"] == "SUCCEEDED", execution
    return run


@pytest.fixture(scope="module")
def trained(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> tuple[StartedRun, Path]:
    """The demo's training, and what it left behind."""
    run = succeeded(plane, parse_request((ROOT / "examples" / "cartpole-train.json").read_text()))
    directory = tmp_path_factory.mktemp("train")
    plane.runs.fetch(run.output_files, directory)
    return run, directory


@pytest.mark.timeout(600)
def test_a_training_leaves_everything_that_the_design_promises(
    plane: ControlPlane, trained: tuple[StartedRun, Path]
) -> None:
    run, directory = trained
    files = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}

    assert {f"checkpoints/model_{n}.pt" for n in (0, 20, 40, 60, 79)} <= files
    assert {"metrics.csv", "training-config.json", "results.json", "manifest.json"} <= files
    assert {"params/agent.yaml", "params/env.yaml"} <= files
    with (directory / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(80))
    assert float(rows[-1]["Train/mean_reward"]) > float(rows[0]["Train/mean_reward"])
    record = plane.runs.record(run.run_id)
    assert record is not None
    assert record.state is RunState.SUCCEEDED
    assert record.progress is not None
    assert (record.progress.done, record.progress.total) == (80, 80)


@pytest.mark.timeout(600)
def test_the_trained_policy_solves_the_task_and_is_seen_doing_so(
    plane: ControlPlane, trained: tuple[StartedRun, Path], tmp_path: Path
) -> None:
    training, directory = trained
    results = Results.model_validate_json((directory / "results.json").read_bytes())
    assert results.training is not None
    request = parse_request((ROOT / "examples" / "cartpole-evaluate.json").read_text())

    run = succeeded(plane, request, training.output_files / results.training.final_checkpoint)

    plane.runs.fetch(run.output_files, tmp_path)
    evaluation = Results.model_validate_json((tmp_path / "results.json").read_bytes()).evaluation
    assert evaluation is not None
    assert evaluation.success_rate >= 0.95
    with (tmp_path / "metrics.csv").open() as file:
        episodes = list(csv.DictReader(file))
    assert len(episodes) == 100
    assert len({row["environment"] for row in episodes}) == 100
    videos = list((tmp_path / "videos").glob("*.mp4"))
    assert len(videos) == 1
    # 299 steps of 1/60 s, shown at 30 frames per second.
    assert len(list(iio.imiter(videos[0]))) == pytest.approx(150, abs=3)


def test_an_evaluation_takes_the_newest_checkpoint_beside_its_input_file(
    plane: ControlPlane, trained: tuple[StartedRun, Path], tmp_path: Path
) -> None:
    training, _ = trained
    request = parse_request(
        {"trainingConfig": {"mode": "evaluate", "task": TINY["task"], "numEnvs": 4, "numEpisodes": 4, "seed": 1}}
    )

    run = succeeded(plane, request, training.output_files / "metrics.csv")

    plane.runs.fetch(run.output_files, tmp_path)
    config = json.loads((tmp_path / "evaluation-config.json").read_text())
    assert config["policy"] == str(training.output_files / f"{CHECKPOINTS}model_79.pt")
    assert not (tmp_path / "videos").exists()


def test_a_body_that_is_no_json_fails_its_caller_at_once(plane: ControlPlane) -> None:
    machine = plane.stepfunctions.create_state_machine(
        name=f"broken-{uuid.uuid4().hex[:8]}",
        roleArn=ROLE_ARN,
        definition=json.dumps(
            {
                "StartAt": "Call",
                "States": {
                    "Call": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                        "TimeoutSeconds": 60,
                        "Parameters": {
                            "FunctionName": plane.deployment.launch_function_name,
                            "Payload": {
                                "body.$": 'States.Format(\'this is no JSON, "TaskToken": "{}"\', $$.Task.Token)'
                            },
                        },
                        "End": True,
                    }
                },
            }
        ),
    )
    execution = plane.stepfunctions.start_execution(stateMachineArn=machine["stateMachineArn"])

    ended = plane.ended(execution["executionArn"])

    assert (ended["status"], ended["error"]) == ("FAILED", "RequestError")
    assert "body is" in ended["cause"]


@pytest.mark.parametrize(
    ("training", "error", "words"),
    [
        ({"task": "Isaac-Cartpol-v0"}, "RequestError", ["Isaac-Cartpol-v0", "Isaac-Cartpole-v0"]),
        ({"hydraOverrides": ["agent.algorithm.learning_rat=1"]}, "RequestError", ["learning_rat"]),
        # Weights of nonsense: the library's own words reach the caller.
        ({"resumeCheckpoint": "s3://{bucket}/nonsense/model_9.pt"}, None, ["model_9.pt"]),
    ],
)
def test_what_the_simulator_refuses_its_caller_reads(
    plane: ControlPlane, training: Json, error: str | None, words: list[str]
) -> None:
    plane.put("nonsense/model_9.pt", b"no checkpoint")
    text = json.dumps({"inputParameters": {"trainingConfig": TINY | training}})

    execution = plane.run_workflow(json.loads(text.replace("{bucket}", plane.bucket)))

    assert execution["status"] == "FAILED"
    assert execution["error"] == error if error else execution["error"] in ("RequestError", "SimulationError")
    assert all(word in execution["cause"] for word in words), execution["cause"]


def test_a_job_that_is_ended_tells_its_caller_and_leaves_no_process(plane: ControlPlane) -> None:
    request = parse_request({"trainingConfig": TINY | {"maxIterations": 100_000}})
    run = plane.runs.start(request)
    until(lambda: (record := plane.runs.record(run.run_id)) is not None and record.progress is not None, RUN_SECONDS)
    record = plane.runs.record(run.run_id)
    assert record is not None
    assert len(_processes_of(run)) >= 2

    plane.batch.terminate_job(jobId=record.job_id, reason="the test ends it")

    execution = plane.ended(run.execution_arn)
    assert (execution["status"], execution["error"]) == ("FAILED", "InterruptedRunError"), execution
    until(lambda: not _processes_of(run), RUN_SECONDS)
    ended = plane.runs.record(run.run_id)
    assert ended is not None
    assert ended.state is RunState.FAILED
    assert ended.failure is not None
    assert ended.failure.retryable


def test_the_same_call_again_starts_nothing(plane: ControlPlane) -> None:
    key = f"twice/{uuid.uuid4().hex}/files/"
    message = {
        "TaskToken": "nobody-waits-on-this",
        "inputParameters": {"trainingConfig": TINY},
        "outputS3AssetFilesPath": str(S3Uri(plane.bucket, key)),
    }

    answers = [_invoke_launch(plane, {"body": body}) for body in (message, json.dumps(message), message)]

    assert [answer["statusCode"] for answer in answers] == [200] * 3
    arns = {json.loads(answer["body"])["executionArn"] for answer in answers}
    assert len(arns) == 1
    plane.ended(arns.pop())


def _processes_of(run: StartedRun) -> list[psutil.Process]:
    """The runner has the run's id in its command line, the simulator the run's directory as its own."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if run.run_id in process.cmdline() or Path(process.cwd()).name == run.run_id:
                found.append(process)
    return found


def _invoke_launch(plane: ControlPlane, event: Json) -> Json:
    answer = plane.lambda_.invoke(
        FunctionName=plane.deployment.launch_function_name, Payload=json.dumps(event).encode()
    )
    payload: Json = json.loads(answer["Payload"].read())
    return payload
