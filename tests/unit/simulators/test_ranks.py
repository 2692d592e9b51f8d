"""Several processes train one policy, as torchrun starts them; one of them writes and speaks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gaitway.contracts.simulation import NOT_A_NUMBER, STOP_FILE, TRAINING_PROGRESS
from gaitway.libraries import RlLibrary
from gaitway.libraries.checkpoints import is_whole
from gaitway.simulators.common.ranks import Ranks
from tests.unit.simulators.jobs import (
    NUM_ENVS,
    REPOSITORY,
    ROLLOUTS,
    TASK,
    Left,
    read,
    start,
    write_job,
)
from tests.unit.simulators.warm import Ended, run_module

TRAINING = {"task": TASK, "num_envs": NUM_ENVS, "max_iterations": 4, "checkpoint_interval": 2, "seed": 7}

AVERAGE = """
import json
from pathlib import Path

import torch

from gaitway.simulators.common.collectives import average_moments, joined
from gaitway.simulators.common.ranks import Ranks

ranks = Ranks.from_environment()
seen = torch.arange(8.0).reshape(2, 4)[ranks.rank]
mean, variance = seen.mean(), seen.var(unbiased=False)
with joined(ranks, torch.device("cpu")):
    average_moments([(mean, variance)], ranks)
Path(f"{ranks.rank}.json").write_text(json.dumps([mean.item(), variance.item()]))
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def launcher() -> list[str]:
    return ["-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}"]


def run_two(module: str, arguments: list[str], directory: Path) -> list[Ended]:
    """Run two processes with the variables that torchrun sets."""
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    each = [group | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    return run_module(module, arguments, directory, os.environ | {"PYTHONPATH": str(REPOSITORY)}, each)


# rsl_rl trains so in tests/local/test_multi_node.py, through torchrun.
@pytest.mark.parametrize("library", ["skrl", "rl_games"])
def test_two_processes_train_one_policy_and_one_of_them_writes(library: RlLibrary, tmp_path: Path) -> None:
    write_job(tmp_path, TRAINING | {"rl_library": library})
    ended, other = run_two("gaitway.simulators.embedded", ["simulation.json"], tmp_path)
    assert (ended.returncode, other.returncode) == (0, 0), ended.stderr + other.stderr
    assert other.stdout == ""
    left = Left(library, tmp_path)
    assert list(left.checkpoints) == [2, 4]
    assert len(list(tmp_path.rglob("events.out.tfevents.*"))) == 1
    assert (left.run / "exported" / "policy.json").exists()
    done = [int(match["done"]) for match in TRAINING_PROGRESS.finditer(ended.stdout)]
    assert done == sorted(set(done)), "nobody else tells the same"
    assert (done[0], done[-1]) == (1, 4)
    if library == "rl_games":
        assert read(left.checkpoints[4])["frame"] == 2 * 4 * ROLLOUTS[library] * NUM_ENVS


def test_a_training_of_two_stops_when_the_leading_process_is_asked_goes_on_and_ends_at_nan_with_the_same_line(
    tmp_path: Path,
) -> None:
    training = TRAINING | {"rl_library": "skrl"}
    (tmp_path / STOP_FILE).touch()
    ended = start(tmp_path, training | {"max_iterations": 1_000_000}, launcher())
    assert ended.returncode != 0
    assert ended.stderr.splitlines().count("Stopped as asked after iteration 1, which is saved as agent_32.pt") == 1
    left = Left("skrl", tmp_path)
    assert list(left.checkpoints) == [1]
    assert is_whole(left.checkpoints[1])

    (tmp_path / STOP_FILE).unlink()
    broken = training | {"hydra_overrides": ["env.action_scale=.nan"]}
    ended = start(tmp_path, broken, launcher(), continue_from=str(left.checkpoints[1]))
    assert ended.returncode != 0
    assert {match["iteration"] for match in NOT_A_NUMBER.finditer(ended.stderr)} == {"2"}
    assert list(left.checkpoints) == [1]


def test_a_node_that_is_killed_takes_its_workers_with_it_and_ends_the_others(tmp_path: Path) -> None:
    write_job(tmp_path, TRAINING | {"rl_library": "rl_games", "max_iterations": 1_000_000})
    command = [sys.executable, *launcher(), "--nnodes=2", "--nproc_per_node=1", "--master_addr=127.0.0.1"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}

    def node(rank: int) -> subprocess.Popen[str]:
        arguments = [*command, f"--node_rank={rank}", "-m", "gaitway.simulators.embedded", "simulation.json"]
        return subprocess.Popen(
            arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    with node(0) as first, node(1) as second:
        assert first.stdout is not None
        assert any(TRAINING_PROGRESS.match(line) for line in first.stdout), "training has begun"
        second.kill()
        first.communicate(timeout=30)
    assert first.returncode != 0


def test_no_two_processes_of_any_attempt_draw_the_same_numbers() -> None:
    # Two nodes with two processes each: local ranks repeat, and a resume must not replay the beginning.
    ranks = [Ranks(rank, rank % 2, 4) for rank in range(4)]
    seeds = {each.seed(42, completed) for each in ranks for completed in (0, 1, 50, 51)}
    assert len(seeds) == 16


def test_normalisers_of_all_processes_become_those_of_all_observations(tmp_path: Path) -> None:
    (tmp_path / "average.py").write_text(AVERAGE)
    assert [ended.returncode for ended in run_two("average", [], tmp_path)] == [0, 0]
    everything = torch.arange(8.0)
    for rank in range(2):
        moments = json.loads((tmp_path / f"{rank}.json").read_text())
        assert moments == pytest.approx([everything.mean().item(), everything.var(unbiased=False).item()])
