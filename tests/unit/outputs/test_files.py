"""Every file has its place."""

from pathlib import Path

import pytest

from gaitway.contracts.workload import EvaluationConfig, TrainingConfig
from gaitway.outputs.files import outputs, remains
from tests.unit.runner.scripted_simulator import LOG_DIRECTORY, evaluate, train, write_checkpoint


@pytest.fixture(autouse=True)
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_outputs_of_a_training(run_directory: Path) -> None:
    train(3)
    video = LOG_DIRECTORY / "videos" / "train" / "rl-video-step-0.mp4"
    video.parent.mkdir(parents=True)
    for path in (
        video,
        Path("metrics.csv"),
        Path("training-config.json"),
        Path("gpu-usage.csv"),
        Path("simulator.log"),
    ):
        path.touch()
    for name in ("results.json", "report.html", "manifest.json"):
        Path(name).touch()
    Path("inputs").mkdir()
    Path("inputs/model_7.pt").touch()

    assert {name for name, _ in outputs(run_directory, TrainingConfig())} == {
        "checkpoints/model_0.pt",
        "checkpoints/model_2.pt",
        "gaitway_git_diff.txt",
        "params/agent.yaml",
        "videos/rl-video-step-0.mp4",
        "metrics.csv",
        "training-config.json",
        "gpu-usage.csv",
        "simulator.log",
    }


def test_the_outputs_of_an_evaluation(run_directory: Path) -> None:
    evaluate(2, video=True)
    Path("evaluation-config.json").touch()

    assert dict(outputs(run_directory, EvaluationConfig())) == {
        "metrics.csv": run_directory / "evaluation" / "metrics.csv",
        "videos/episode-0.mp4": run_directory / "evaluation" / "videos" / "episode-0.mp4",
        "evaluation-config.json": run_directory / "evaluation-config.json",
    }


def test_an_exported_policy_is_an_output_and_no_checkpoint(run_directory: Path) -> None:
    write_checkpoint(1)
    exported = LOG_DIRECTORY / "exported"
    exported.mkdir()
    (exported / "policy.pt").write_bytes((LOG_DIRECTORY / "model_1.pt").read_bytes())
    (exported / ".policy.onnx.partial").touch()

    names = {name for name, _ in outputs(run_directory, TrainingConfig())}

    assert names == {"checkpoints/model_1.pt", "exported/policy.pt"}


def test_a_file_of_a_custom_environment_that_the_caller_would_refuse_gets_another_name(run_directory: Path) -> None:
    write_checkpoint(1)
    exported = LOG_DIRECTORY / "exported"
    exported.mkdir()
    for name in ("deploy.sh", "policy.onnx"):
        (exported / name).touch()

    found = dict(outputs(run_directory, TrainingConfig(), [".sh"]))

    assert found["exported/deploy.sh.bin"] == run_directory / exported / "deploy.sh"
    assert "exported/policy.onnx" in found
    assert "exported/deploy.sh" not in found


def test_what_remains_of_a_failed_training_begins_with_its_log_and_its_newest_checkpoint(run_directory: Path) -> None:
    train(3)
    for name in ("simulator.log", "simulator-node-1.log", "results.json"):
        Path(name).touch()
    (LOG_DIRECTORY / "events.out.tfevents.1").touch()

    names = [name for name, _ in remains(run_directory, TrainingConfig())]

    assert names[:3] == ["simulator.log", "checkpoints/model_2.pt", "checkpoints/model_0.pt"]
    assert set(names[3:]) == {
        "gaitway_git_diff.txt",
        "params/agent.yaml",
        "tensorboard/rsl_rl/cartpole/2026-11-20_12-00-00/events.out.tfevents.1",
        "simulator-node-1.log",
    }


def test_what_remains_of_a_failed_evaluation_has_no_checkpoints(run_directory: Path) -> None:
    evaluate(2, video=True)
    Path("simulator.log").touch()

    names = [name for name, _ in remains(run_directory, EvaluationConfig())]

    assert names == ["simulator.log", "metrics.csv", "videos/episode-0.mp4"]


def test_what_a_link_leads_to_outside_of_the_run_is_no_output(
    run_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A simulator that may not read a file must not have the runner upload it."""
    elsewhere = tmp_path_factory.mktemp("runner") / "secret"
    elsewhere.write_text("secret")
    train(1)
    (LOG_DIRECTORY / "params" / "env.yaml").symlink_to(elsewhere)
    (LOG_DIRECTORY / "exported").symlink_to(elsewhere.parent)
    Path("metrics.csv").symlink_to(elsewhere)
    for files in (outputs, remains):
        names = {name for name, _ in files(run_directory, TrainingConfig())}
        assert "params/agent.yaml" in names
        assert not names & {"params/env.yaml", "exported/secret", "metrics.csv"}
