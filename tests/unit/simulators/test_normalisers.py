"""rsl_rl's normalisers in two processes hold at the end of an iteration what rsl_rl's own way gives."""

import json
import os
from pathlib import Path

import pytest

from tests.unit.simulators.jobs import REPOSITORY
from tests.unit.simulators.test_ranks import free_port
from tests.unit.simulators.warm import run_module

LEARN = """
import json
import sys
from pathlib import Path

import torch
from rsl_rl.modules import EmpiricalNormalization
from torch import distributed

from gaitway.simulators.common.collectives import joined
from gaitway.simulators.common.libraries.rsl_rl_normalisers import SharedNormalisers
from gaitway.simulators.common.ranks import Ranks

ranks = Ranks.from_environment()
exchanged = 0
exchange = distributed.all_reduce

def counted(*arguments):
    global exchanged
    exchanged += 1
    exchange(*arguments)

distributed.all_reduce = counted
found = {}
with joined(ranks, torch.device("cpu")):
    for name in ("rsl_rl", "shared"):
        normaliser = EmpiricalNormalization(3)
        if name == "shared":
            shared = SharedNormalisers([torch.nn.Sequential(normaliser), normaliser], ranks)
        generator = torch.Generator().manual_seed(ranks.rank)
        exchanged = 0
        for _ in range(2):
            for _ in range(5):
                with torch.inference_mode():
                    normaliser.update(torch.randn(4, 3, generator=generator) * 2 + ranks.rank)
            if name == "shared":
                shared.merge()
        state = {key: value.flatten().tolist() for key, value in normaliser.state_dict().items()}
        found[name] = {"state": state, "exchanged": exchanged}
Path(f"{ranks.rank}.json").write_text(json.dumps(found))
"""


def test_normalisers_are_those_of_rsl_rl_with_one_exchange_in_an_iteration(tmp_path: Path) -> None:
    (tmp_path / "learn.py").write_text(LEARN)
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    each = [group | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    path = os.pathsep.join((str(tmp_path), str(REPOSITORY)))
    for ended in run_module("learn", [], tmp_path, os.environ | {"PYTHONPATH": path}, each):
        assert ended.returncode == 0, ended.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))

    assert first["shared"]["state"] == second["shared"]["state"]
    for name, expected in first["rsl_rl"]["state"].items():
        assert first["shared"]["state"][name] == pytest.approx(expected, rel=1e-5), name
    assert (first["rsl_rl"]["exchanged"], first["shared"]["exchanged"]) == (2 * 5 * 3, 2)
