"""A trained policy as one function of its observations, for robots and simulators that have no RL library."""

from __future__ import annotations

import copy
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor, nn

from container.simulators.common.files import written_whole
from container.simulators.common.policy import Policy, TrainedPolicy
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import RlLibrary
from gaitway.contracts.simulation import (
    EXPORTED_DIRECTORY,
    EXPORTED_ONNX,
    EXPORTED_SUMMARY,
    EXPORTED_TORCHSCRIPT,
    PolicyExport,
    TensorDescription,
)

COMPARED_OBSERVATIONS = 1000
MAX_ABS_DIFFERENCE = 1e-4
"""Single precision, summed up in another order, differs by less."""
_SPREAD = 3.0
"""Standard deviation of the random observations: some lie beyond what the policies clip."""
_INPUT, _OUTPUT, _BATCH = "obs", "actions", "batch"
"""The tensors' names are those that rsl_rl gives in its own exports."""
_OPSET = 18


@dataclass(frozen=True)
class Origin:
    """Where an exported policy comes from."""

    task: str
    library: RlLibrary
    checkpoint: Path
    iterations: int


def export_policy(
    policy: TrainedPolicy, num_observations: int, device: torch.device, directory: Path, origin: Origin
) -> None:
    """Write a policy as TorchScript and as ONNX, and compare both with the library's own inference.

    Args:
        policy: What to export.
        num_observations: Of one environment.
        device: Where the policy acts.
        directory: The training's directory.
        origin: What the summary says about it.

    Raises:
        RuntimeError: An exported policy acts differently.
    """
    exported = directory / EXPORTED_DIRECTORY
    exported.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    observations = _SPREAD * torch.randn(COMPARED_OBSERVATIONS, num_observations, generator=generator)
    with torch.no_grad():
        expected = policy.act(observations.to(device)).cpu()
    network = copy.deepcopy(policy.network).cpu().eval()
    differences = {}
    for name, write, run in (
        (EXPORTED_TORCHSCRIPT, _write_torchscript, _run_torchscript),
        (EXPORTED_ONNX, _write_onnx, _run_onnx),
    ):
        with written_whole(exported / name) as temporary:
            write(network, observations[:2], temporary)
            differences[name] = float((run(temporary, observations) - expected).abs().max())
            if not differences[name] <= MAX_ABS_DIFFERENCE:
                raise RuntimeError(f"{name} acts differently from {origin.checkpoint}: by up to {differences[name]}")
    summary = PolicyExport(
        task=origin.task,
        rl_library=origin.library,
        checkpoint=origin.checkpoint.name,
        iterations=origin.iterations,
        inputs=(TensorDescription(name=_INPUT, shape=(_BATCH, num_observations), dtype="float32"),),
        outputs=(TensorDescription(name=_OUTPUT, shape=(_BATCH, expected.shape[1]), dtype="float32"),),
        normalisation=policy.normalisation,
        max_abs_difference=differences,
        compared_observations=COMPARED_OBSERVATIONS,
    )
    with written_whole(exported / EXPORTED_SUMMARY) as temporary:
        temporary.write_text(summary.model_dump_json(by_alias=True, indent=2))


def is_exported(path: Path) -> bool:
    """Tell an exported policy from a checkpoint: TorchScript archives hold code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("code" in PurePosixPath(name).parts[1:2] for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def load_exported(path: Path, observations: Tensor, num_actions: int) -> Policy:
    """Load an exported policy to act with.

    Args:
        path: The TorchScript file.
        observations: Of the task's environments, on the device where the policy shall act.
        num_actions: Of one environment.

    Raises:
        RequestError: It cannot be read, or does not fit the task.
    """
    try:
        network = torch.jit.load(path, map_location=observations.device)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            shape = tuple(network(observations).shape)
    except (RuntimeError, ValueError, AttributeError) as error:
        raise RequestError(f"{path} is no exported policy that fits the task: {error}") from error
    if shape != (len(observations), num_actions):
        raise RequestError(f"{path} gives actions of the shape {shape}, allowed: {num_actions} per environment")

    def act(inputs: Tensor) -> Tensor:
        actions: Tensor = network(inputs)
        return actions

    return act


def _write_torchscript(network: nn.Module, example: Tensor, path: Path) -> None:
    torch.jit.trace(network, (example,)).save(str(path))  # type: ignore[no-untyped-call]


def _run_torchscript(path: Path, observations: Tensor) -> Tensor:
    with torch.no_grad():
        actions: Tensor = torch.jit.load(path)(observations)  # type: ignore[no-untyped-call]
    return actions


def _write_onnx(network: nn.Module, example: Tensor, path: Path) -> None:
    with warnings.catch_warnings():
        # The exporter that torch recommends takes two seconds for what this one does at once.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=[_INPUT],
            output_names=[_OUTPUT],
            dynamic_axes={_INPUT: {0: _BATCH}, _OUTPUT: {0: _BATCH}},
            opset_version=_OPSET,
            dynamo=False,
        )


def _run_onnx(path: Path, observations: Tensor) -> Tensor:
    # Nothing else needs it.
    from onnx.reference import ReferenceEvaluator

    (actions,) = ReferenceEvaluator(str(path)).run(None, {_INPUT: observations.numpy()})
    return torch.from_numpy(actions)
