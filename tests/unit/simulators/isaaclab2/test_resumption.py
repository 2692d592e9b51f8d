"""What a training on Isaac Lab takes up again of its environments, and what it says that it cannot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from gaitway.contracts.simulation import RESUMPTION_FILE, Resumption, SimulationJob
from gaitway.contracts.workload import TrainingConfig
from gaitway.simulators.common.isaaclab.training import Training
from gaitway.simulators.common.ranks import Ranks

JOB = SimulationJob(training=TrainingConfig(max_iterations=10))
TERMS = SimpleNamespace(active_terms=["terrain_levels", "reward_weight"])
ROUGH = SimpleNamespace(terrain=SimpleNamespace(terrain_levels=[0, 3]))
FLAT = SimpleNamespace(terrain=SimpleNamespace(terrain_levels=None))


def resumed(environment: object, directory: Path) -> Resumption:
    """Resume after three iterations of 24 steps, in an environment behind a wrapper."""
    Training(JOB, Ranks(), 3, directory).restore_counter(SimpleNamespace(env=environment), directory, 24)
    return Resumption.model_validate_json((directory / RESUMPTION_FILE.format(iteration=3)).read_text())


@pytest.mark.parametrize(
    ("fields", "anew"),
    [
        ({"curriculum_manager": TERMS, "scene": ROUGH}, "terms terrain_levels, reward_weight that is not read"),
        ({"scene": ROUGH}, "terrain levels of the environments: drawn anew"),
        ({"scene": FLAT}, "what the task keeps besides that counter"),
        ({"curriculum_manager": SimpleNamespace(active_terms=[])}, "what the task keeps besides that counter"),
    ],
)
def test_the_step_counter_goes_on_and_the_rest_is_named(fields: dict[str, object], anew: str, tmp_path: Path) -> None:
    environment = SimpleNamespace(common_step_counter=0, **fields)
    note = resumed(environment, tmp_path)
    assert environment.common_step_counter == 72
    assert "(common_step_counter): 72," in note.restored[0]
    assert anew in note.anew[0]


def test_an_environment_without_a_counter_is_left_as_it_is(tmp_path: Path) -> None:
    environment = SimpleNamespace()
    assert resumed(environment, tmp_path).restored == ()
    assert vars(environment) == {}


def test_a_new_training_has_nothing_to_restore(tmp_path: Path) -> None:
    environment = SimpleNamespace(common_step_counter=0)
    Training(JOB, Ranks(), 0, None).restore_counter(environment, tmp_path, 24)
    assert (environment.common_step_counter, [*tmp_path.iterdir()]) == (0, [])
