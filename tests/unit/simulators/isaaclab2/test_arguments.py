"""What is asked of Isaac Lab's scripts is what they understand."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from gaitway.contracts.errors import RequestError
from gaitway.contracts.workload import MAX_SEED, TrainingConfig
from gaitway.libraries import RlLibrary
from gaitway.libraries.simulators import SIMULATORS
from gaitway.simulators.common.isaaclab.arguments import DEFAULT_SEED, checkpoint_interval_in_steps, seed_of
from gaitway.simulators.common.ranks import Ranks
from gaitway.simulators.isaaclab2.arguments import find_script, train_arguments
from tests.unit.simulators.isaaclab2.world import HERE, ISAAC_LAB

ALONE = Ranks()


def parser(library: RlLibrary) -> argparse.ArgumentParser:
    path = HERE / "lab" / "scripts" / "reinforcement_learning" / "mirror.py"
    spec = importlib.util.spec_from_file_location("mirror", path)
    assert spec is not None
    assert spec.loader is not None
    mirror = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mirror)
    made: argparse.ArgumentParser = mirror.make_parser(library)
    # Of the launcher's options these are given here.
    launcher = (ISAAC_LAB / "isaaclab" / "isaaclab" / "app" / "app_launcher.py").read_text()
    for option in ("--headless", "--enable_cameras"):
        assert f'"{option}"' in launcher
        made.add_argument(option, action="store_true")
    return made


def parse(
    library: RlLibrary, ranks: Ranks = ALONE, completed: int = 0, directory: Path | None = None, **training: Any
) -> tuple[argparse.Namespace, list[str]]:
    config = TrainingConfig(rl_library=library, **training)
    return parser(library).parse_known_args(train_arguments(config, ranks, completed, directory))


@pytest.mark.parametrize("library", SIMULATORS["isaaclab-2"].libraries)
def test_the_scripts_understand_every_option(library: RlLibrary) -> None:
    given: dict[str, Any] = {"task": "Isaac-Ant-v0", "num_envs": 64, "max_iterations": 9, "seed": 3}
    options, rest = parse(library, Ranks(1, 1, 2), record_video=True, hydra_overrides=["agent.x=1"], **given)
    assert (options.task, options.num_envs, options.max_iterations) == ("Isaac-Ant-v0", 64, 9)
    assert options.headless
    assert options.video
    assert options.distributed
    assert rest == ["agent.x=1"]


def test_nothing_is_asked_for_that_the_request_leaves_open() -> None:
    options, rest = parse("rsl_rl")
    assert (options.seed, options.video, options.distributed, rest) == (None, False, False, [])


@pytest.mark.parametrize(
    ("library", "expected"), [("rsl_rl", 60), ("skrl", 60), ("rl_games", 100)]
)  # rsl_rl and skrl count from where they stand, rl_games to where it ends
def test_a_training_is_continued_to_its_total(library: RlLibrary, expected: int) -> None:
    options, _ = parse(library, completed=40, max_iterations=100)
    assert options.max_iterations == expected


@pytest.mark.parametrize(
    ("library", "override"),
    [("rsl_rl", ["agent.save_interval=5"]), ("rl_games", ["agent.params.config.save_frequency=5"]), ("skrl", [])],
)
def test_the_interval_between_checkpoints_is_an_override(library: RlLibrary, override: list[str]) -> None:
    assert parse(library, checkpoint_interval=5)[1] == override


@pytest.mark.parametrize(("overrides", "steps"), [([], 160), (["agent.agent.rollouts=16"], 80)])
def test_skrl_counts_time_steps_between_checkpoints(overrides: list[str], steps: int) -> None:
    config = TrainingConfig(rl_library="skrl", checkpoint_interval=5, hydra_overrides=overrides)
    assert checkpoint_interval_in_steps(config, rollouts=32) == f"agent.agent.experiment.checkpoint_interval={steps}"


def test_rl_games_continues_in_its_directory() -> None:
    _, rest = parse("rl_games", completed=1, directory=Path("logs/rl_games/ant/2026-01-01_10-00-00"))
    assert rest == ["++agent.params.config.full_experiment_name='2026-01-01_10-00-00'"]


@pytest.mark.parametrize("library", SIMULATORS["isaaclab-2"].libraries)
def test_every_process_of_every_attempt_draws_other_numbers(library: RlLibrary) -> None:
    # Two nodes with two processes each, two attempts.
    processes = [Ranks(rank, rank % 2, 4) for rank in range(4)]
    given = {(c, r): parse(library, r, c, max_iterations=9)[0].seed for c in (0, 5) for r in processes}
    # What the scripts add: rsl_rl's the local rank, rl_games' the global one.
    added = {ranks: {"rsl_rl": ranks.local_rank, "rl_games": ranks.rank, "skrl": 0}[library] for ranks in processes}
    assert len({seed + added[ranks] for (_, ranks), seed in given.items()}) == 8


@pytest.mark.parametrize("override", ["presets=newton", "physics=newton_mjwarp"])
def test_what_only_isaac_lab_3_has_is_refused(override: str) -> None:
    with pytest.raises(RequestError, match=r"is about (presets|physics), allowed: env\.<key> and agent\.<key>"):
        parse("skrl", hydra_overrides=[override])


@pytest.mark.parametrize(
    ("task", "expected"), [("Isaac-Cartpole-RGB-Camera-Direct-v0", True), ("Isaac-Cartpole-Direct-v0", False)]
)
def test_only_tasks_that_look_at_pictures_have_cameras(task: str, expected: bool) -> None:
    assert parse("rl_games", task=task)[0].enable_cameras is expected


@pytest.mark.parametrize("task", ["Isaac-Cartpole-RGB-Camera-Direct-v0", "Isaac-Cartpole-Direct-v0"])
@pytest.mark.parametrize("asked", [True, False])
def test_a_request_may_say_whether_there_are_cameras(task: str, asked: bool) -> None:
    assert parse("rl_games", task=task, enable_cameras=asked)[0].enable_cameras is asked


@pytest.mark.parametrize("library", SIMULATORS["isaaclab-2"].libraries)
@pytest.mark.parametrize("seed", [MAX_SEED, MAX_SEED - 1, 2**31])
def test_what_scripts_and_libraries_add_to_the_largest_seed_is_still_a_seed(library: RlLibrary, seed: int) -> None:
    for completed in (0, 1, 5):
        for rank in range(4):
            given = parse(library, Ranks(rank, rank % 2, 4), completed, max_iterations=9, seed=seed)[0].seed
            # skrl itself adds the global rank, as rl_games' script does.
            assert 0 <= given <= MAX_SEED - rank


@pytest.mark.parametrize(
    ("overrides", "seed"),
    [([], DEFAULT_SEED), (["agent.seed=7"], 7), (["++agent.params.seed= 8"], 8), (["agent.seed=null"], DEFAULT_SEED)],
)
def test_a_seed_that_is_an_override_is_that_of_all_processes_and_attempts(overrides: list[str], seed: int) -> None:
    """The scripts' own option, which tells processes and attempts apart, would replace it."""
    assert seed_of(TrainingConfig(hydra_overrides=overrides)) == seed
    assert seed_of(TrainingConfig(hydra_overrides=overrides, seed=3)) == 3
    given = [parse("rsl_rl", Ranks(1, 1, 2), 5, max_iterations=9, hydra_overrides=each)[0] for each in (overrides, [])]
    assert given[0].seed - given[1].seed == seed - DEFAULT_SEED


def test_a_library_without_a_script_of_ours_is_refused_and_takes_no_other_ones_arguments() -> None:
    with pytest.raises(RequestError, match=r"rlLibrary is 'sb3', .*, allowed: rsl_rl, skrl, rl_games"):
        find_script("sb3")
    with pytest.raises(RequestError, match="rlLibrary is 'sb3'"):
        train_arguments(TrainingConfig(rl_library="sb3"), Ranks(), 0, None)
