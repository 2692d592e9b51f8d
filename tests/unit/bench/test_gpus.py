"""What the benchmark of GPUs computes and packs; its figures need a GPU."""

from pathlib import Path

import pytest

from bench.gpus.jobs import JobError, read_training
from bench.gpus.kit import BESIDE_TORCH, NEEDED_BESIDE_THE_IMAGE, pins
from bench.processes import SIMULATOR, steps_per_iteration, steps_per_second, train_as_process
from gaitway.contracts.workload import TrainingConfig
from gaitway.libraries import RlLibrary


@pytest.mark.parametrize("library", ["rsl_rl", "skrl"])
def test_a_speed_counts_the_steps_of_all_environments_and_processes(library: RlLibrary, tmp_path: Path) -> None:
    training = TrainingConfig(
        task="Isaac-Cartpole-Direct-v0", rl_library=library, num_envs=16, max_iterations=20, checkpoint_interval=20
    )
    metrics = train_as_process(SIMULATOR, training, tmp_path / "run")
    alone = read_training(tmp_path / "run", training, processes=1, seconds=1.0)
    two = read_training(tmp_path / "run", training, processes=2, seconds=1.0)
    assert alone.iterations == training.max_iterations
    assert two.steps_per_second == pytest.approx(2 * alone.steps_per_second)
    # As the other benchmark counts them, which knows the steps of an iteration from the task.
    per_iteration = steps_per_iteration(training.task, library)
    expected = steps_per_second(metrics, training, per_iteration, warm_up_iterations=5)
    assert alone.steps_per_second == pytest.approx(expected)


def test_a_training_without_metrics_has_no_speed(tmp_path: Path) -> None:
    training = TrainingConfig(task="Isaac-Cartpole-Direct-v0", num_envs=16, max_iterations=20)
    with pytest.raises(JobError, match="0 rows of metrics"):
        read_training(tmp_path, training, processes=1, seconds=1.0)


def test_a_kit_has_the_images_packages_and_the_embedded_aws_but_no_torch() -> None:
    names = {pin.partition("==")[0].lower() for pin in pins()}
    assert {"isaaclab", "newton", "warp-lang", "rsl-rl-lib", *NEEDED_BESIDE_THE_IMAGE} <= names
    assert {name for name in names if name.startswith(BESIDE_TORCH)} == {"nvidia-ml-py"}
