"""Policies with a memory: exported with their states as inputs and outputs, and compared over a sequence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx.reference
import pytest
import torch
from torch import nn

from gaitway.contracts.simulation import (
    EVALUATION_SUMMARY,
    EXIT_BAD_REQUEST,
    NOT_EXPORTED,
    EvaluationSummary,
    PolicyExport,
)
from gaitway.contracts.workload import TrainingConfig
from gaitway.simulators.common.export import Origin, export_policy
from gaitway.simulators.common.policy import Memory, TrainedPolicy
from gaitway.simulators.common.recurrent import RecurrentActions, RecurrentStep, states_of
from gaitway.simulators.embedded import simulation
from gaitway.workloads.train import TRAIN
from tests.unit.simulators.jobs import NUM_ENVS, TASK, Left, run_here


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_step_is_that_of_torch(kind: type[nn.LSTM | nn.GRU], layers: int) -> None:
    torch.manual_seed(layers)
    rnn = kind(4, 8, layers)
    inputs = torch.randn(6, 5, 4)
    expected, _ = rnn(inputs)
    step = RecurrentStep(rnn)
    states = tuple(torch.zeros(size[0], 5, size[1]) for size in states_of(rnn).values())
    for given, wanted in zip(inputs, expected, strict=True):
        output, *after = step(given, *states)
        states = tuple(after)
        torch.testing.assert_close(output, wanted)


def tiny(rnn_type: str, **fields: Any) -> dict[str, Any]:
    overrides = [
        "agent.policy.class_name=ActorCriticRecurrent",
        f"agent.policy.rnn_type={rnn_type}",
        "agent.policy.rnn_hidden_dim=8",
        "agent.policy.rnn_num_layers=2",
    ]
    common = {"task": TASK, "rlLibrary": "rsl_rl", "numEnvs": NUM_ENVS, "seed": 7, "hydraOverrides": overrides}
    return common | {"maxIterations": 2, "checkpointInterval": 1} | fields


@pytest.fixture(scope="module", params=["lstm", "gru"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Left]:
    """A training of two iterations with a memory."""
    left = Left("rsl_rl", tmp_path_factory.mktemp(request.param))
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run_here(monkeypatch, left.directory, tiny(request.param)) == 0
    return request.param, left


def test_both_exports_take_and_return_the_states(trained: tuple[str, Left]) -> None:
    rnn_type, left = trained
    exported = left.run / "exported"
    summary = PolicyExport.model_validate_json((exported / "policy.json").read_text())
    names = ["h", "c"] if rnn_type == "lstm" else ["h"]
    assert [one.name for one in summary.inputs] == ["obs", *(f"{name}_in" for name in names)]
    assert [one.name for one in summary.outputs] == ["actions", *(f"{name}_out" for name in names)]
    assert all(one.shape == (2, "batch", 8) for one in (*summary.inputs[1:], *summary.outputs[1:]))
    assert summary.compared_steps > 1
    assert max(summary.max_abs_difference.values()) < 1e-5

    observations = np.random.default_rng(1).normal(size=(5, 3, 4)).astype(np.float32)
    states = [np.zeros((2, 3, 8), np.float32) for _ in names]
    with pytest.warns(DeprecationWarning, match="torch.jit.load"):
        scripted = torch.jit.load(exported / "policy.pt")  # type: ignore[no-untyped-call]
    evaluator = onnx.reference.ReferenceEvaluator(str(exported / "policy.onnx"))
    for observed in observations:
        by_torch = [tensor.detach().numpy() for tensor in scripted(*map(torch.from_numpy, [observed, *states]))]
        given = zip((one.name for one in summary.inputs), [observed, *states], strict=True)
        by_onnx = list(evaluator.run(None, dict(given)))
        for one, other in zip(by_torch, by_onnx, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
        actions, *states = by_torch
        assert actions.shape == (3, 1)
    assert all(np.abs(state).max() > 0 for state in states), "it remembers"


def test_the_memory_is_restored_with_everything_else(
    trained: tuple[str, Left], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rnn_type, left = trained
    evaluation = tiny(rnn_type, mode="evaluate", numEpisodes=5, stepsPerEpisode=20)
    assert run_here(monkeypatch, tmp_path, evaluation, policy=str(left.checkpoints[2])) == 0
    assert EvaluationSummary.model_validate_json((tmp_path / EVALUATION_SUMMARY).read_text()).episodes == 5


def test_an_exported_memory_is_not_taken_for_a_plain_policy(
    trained: tuple[str, Left], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rnn_type, left = trained
    evaluation = tiny(rnn_type, mode="evaluate", numEpisodes=5)
    code = run_here(monkeypatch, tmp_path, evaluation, policy=str(left.run / "exported" / "policy.pt"))
    assert code == EXIT_BAD_REQUEST
    assert "with a memory: to evaluate it, give its checkpoint instead" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_memory_that_is_not_the_librarys_is_no_export(tmp_path: Path) -> None:
    rnn = nn.GRU(4, 8)
    network = RecurrentActions(nn.Identity(), rnn, nn.Linear(8, 1))
    # The library forgets after each step, and so is right in the first step only.
    policy = TrainedPolicy(
        lambda observed: network(observed, torch.zeros(1, len(observed), 8))[0],
        network,
        "",
        Memory(states_of(rnn), lambda: None),
    )
    with pytest.raises(RuntimeError, match=r"policy\.pt \(RuntimeError: it acts differently from model_1\.pt"):
        export_policy(policy, 4, torch.device("cpu"), tmp_path, Origin(TASK, "rsl_rl", Path("model_1.pt"), 2))


@pytest.mark.parametrize("error", [RuntimeError("it acts differently"), ValueError("no operator"), OSError("full")])
def test_why_there_is_no_export_is_in_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(simulation, "export_policy", fail)
    training = tiny("gru", maxIterations=1)
    assert run_here(monkeypatch, tmp_path, training) == 0
    summary = TRAIN.judge(tmp_path, TrainingConfig.model_validate(training), 1)
    assert summary.not_exported == f"{type(error).__name__}: {error}"
    assert TRAIN.is_finished(tmp_path, TrainingConfig.model_validate(training)), "nothing is left to do"

    # The next attempt could export it.
    (note,) = tmp_path.rglob(NOT_EXPORTED)
    note.unlink()
    assert not TRAIN.is_finished(tmp_path, TrainingConfig.model_validate(training))
    assert json.loads((tmp_path / "simulation.json").read_text())["training"]["maxIterations"] == 1
