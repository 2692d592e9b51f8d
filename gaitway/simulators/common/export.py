"""A trained policy as one function of its observations, for robots and simulators that have no RL library."""

from __future__ import annotations

import copy
import shutil
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor, nn

from gaitway.contracts.errors import RequestError
from gaitway.contracts.simulation import (
    EXPORTED_DIRECTORY,
    EXPORTED_ONNX,
    EXPORTED_SUMMARY,
    EXPORTED_TORCHSCRIPT,
    NOT_EXPORTED,
    PolicyExport,
    TensorDescription,
)
from gaitway.libraries import RlLibrary
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.common.optional import warn
from gaitway.simulators.common.policy import Policy, TrainedPolicy

Step = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
"""Maps observations and states to actions and new states."""

COMPARED_OBSERVATIONS = 1000
_RECURRENT_STEPS = 50
"""Length of the sequences on which a policy with a memory is compared."""
MAX_ABS_DIFFERENCE = 1e-4
"""Sums in single precision, in another order, differ by less."""
_SPREAD = 3.0
"""Standard deviation of the random observations: some are beyond the range to which the policies clip."""
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

    One with a memory takes its states after the observations and returns the new ones after the actions; it is compared
    over a sequence that begins with an empty memory.

    Args:
        policy: What to export.
        num_observations: Of one environment.
        device: Where the policy acts.
        directory: The training's directory.
        origin: The policy's origin, for the summary.

    Raises:
        RuntimeError: Neither file could be written so that it acts alike. If one could, the other is left out, with a
            warning.
    """
    exported = directory / EXPORTED_DIRECTORY
    exported.mkdir(exist_ok=True)
    (exported / EXPORTED_SUMMARY).unlink(missing_ok=True)
    steps = _RECURRENT_STEPS if policy.memory else 1
    generator = torch.Generator().manual_seed(0)
    shape = (steps, COMPARED_OBSERVATIONS // steps, num_observations)
    observations = _SPREAD * torch.randn(shape, generator=generator)
    if policy.memory:
        policy.memory.forget()
    with torch.no_grad(), _full_precision():
        expected = torch.stack([policy.act(step.to(device)).cpu() for step in observations])
    states = policy.memory.states if policy.memory else {}
    network = copy.deepcopy(policy.network).cpu().eval()
    example = (observations[0, :2], *_empty(states, 2))
    inputs, outputs = [_INPUT, *(f"{name}_in" for name in states)], [_OUTPUT, *(f"{name}_out" for name in states)]
    differences: dict[str, float] = {}
    failed: list[str] = []
    for name, write, load in (
        (EXPORTED_TORCHSCRIPT, _write_torchscript, _load_torchscript),
        (EXPORTED_ONNX, _write_onnx, _load_onnx),
    ):
        # Of an earlier attempt.
        (exported / name).unlink(missing_ok=True)
        try:
            with written_whole(exported / name) as temporary:
                write(network, example, temporary, inputs, outputs)
                actions = _play(load(temporary, inputs), observations, _empty(states, shape[1]))
                differences[name] = _difference(actions, expected, origin)
        except Exception as error:
            traceback.print_exc()
            failed.append(f"{name} ({type(error).__name__}: {error})")
    if not differences:
        raise RuntimeError("; ".join(failed))
    for reason in failed:
        warn(f"{EXPORTED_DIRECTORY}/ lacks {reason}")
    shapes = [(layers, _BATCH, size) for layers, size in states.values()]
    summary = PolicyExport(
        task=origin.task,
        rl_library=origin.library,
        checkpoint=origin.checkpoint.name,
        iterations=origin.iterations,
        inputs=_describe(inputs, [(_BATCH, num_observations), *shapes]),
        outputs=_describe(outputs, [(_BATCH, expected.shape[-1]), *shapes]),
        normalisation=policy.normalisation,
        max_abs_difference=differences,
        compared_steps=steps,
        compared_observations=COMPARED_OBSERVATIONS,
    )
    with written_whole(exported / EXPORTED_SUMMARY) as temporary:
        temporary.write_text(summary.model_dump_json(by_alias=True, indent=2))
    (directory / NOT_EXPORTED).unlink(missing_ok=True)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Multiply matrices in float32: Isaac Lab lets GPUs do it in TF32, which differs from a CPU's by one per cent.

    docs.pytorch.org/docs/stable/notes/cuda.html, "TensorFloat-32 (TF32) on Ampere (and later) devices"
    """
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = False
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def _difference(actions: Tensor, expected: Tensor, origin: Origin) -> float:
    difference = float((actions - expected).abs().max())
    if not difference <= MAX_ABS_DIFFERENCE:
        raise RuntimeError(f"it acts differently from {origin.checkpoint.name}, by up to {difference}")
    return difference


def say_not_exported(directory: Path, reason: str) -> None:
    """Write why there is no export, for the results; remove what there is of one."""
    shutil.rmtree(directory / EXPORTED_DIRECTORY, ignore_errors=True)
    warn(f"the policy is not exported: {reason}")
    with written_whole(directory / NOT_EXPORTED) as temporary:
        temporary.write_text(reason, encoding="utf-8")


def is_exported(path: Path) -> bool:
    """Return whether a file is an exported policy and not a checkpoint: TorchScript archives contain code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("code" in PurePosixPath(name).parts[1:2] for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def load_exported(path: Path, observations: Tensor, num_actions: int) -> Policy:
    """Load an exported policy for acting.

    Args:
        path: The TorchScript file.
        observations: Observations of the task's environments, on the device of the policy.
        num_actions: Number of actions of one environment.

    Raises:
        RequestError: It cannot be read, or does not fit the task.
    """
    try:
        network = torch.jit.load(path, map_location=observations.device)  # type: ignore[no-untyped-call]
        # The module itself counts as an argument.
        has_memory = len(network.forward.schema.arguments) > 2
        with torch.no_grad():
            shape = () if has_memory else tuple(network(observations).shape)
    except (RuntimeError, ValueError, AttributeError) as error:
        raise RequestError(f"{path} is not an exported policy that fits the task: {error}") from error
    if has_memory:
        raise RequestError(f"{path} is an exported policy with a memory: to evaluate it, give its checkpoint instead")
    if shape != (len(observations), num_actions):
        raise RequestError(f"{path} returns actions of the shape {shape}, allowed: {num_actions} per environment")

    def act(inputs: Tensor) -> Tensor:
        actions: Tensor = network(inputs)
        return actions

    return act


def _empty(states: Mapping[str, tuple[int, int]], num_envs: int) -> tuple[Tensor, ...]:
    """Make an empty memory."""
    return tuple(torch.zeros(layers, num_envs, size) for layers, size in states.values())


def _describe(names: Sequence[str], shapes: Sequence[tuple[int | str, ...]]) -> tuple[TensorDescription, ...]:
    pairs = zip(names, shapes, strict=True)
    return tuple(TensorDescription(name=name, shape=shape, dtype="float32") for name, shape in pairs)


def _play(step: Step, observations: Tensor, states: tuple[Tensor, ...]) -> Tensor:
    """Act on a sequence of observations. Shapes: (steps, num_envs, any)."""
    actions = []
    for observed in observations:
        action, *states_after = step((observed, *states))
        actions.append(action)
        states = tuple(states_after)
    return torch.stack(actions)


def _write_torchscript(
    network: nn.Module, example: tuple[Tensor, ...], path: Path, _inputs: list[str], _outputs: list[str]
) -> None:
    torch.jit.trace(network, example).save(str(path))  # type: ignore[no-untyped-call]


def _load_torchscript(path: Path, _inputs: list[str]) -> Step:
    network = torch.jit.load(path)  # type: ignore[no-untyped-call]

    def step(given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            result = network(*given)
        return result if isinstance(result, tuple) else (result,)

    return step


def _write_onnx(
    network: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: list[str], outputs: list[str]
) -> None:
    # States have their layers first.
    axes = {name: {0 if name in (_INPUT, _OUTPUT) else 1: _BATCH} for name in (*inputs, *outputs)}
    with warnings.catch_warnings():
        # The exporter that torch recommends takes two seconds; this one takes almost no time.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            example,
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )


def _load_onnx(path: Path, inputs: list[str]) -> Step:
    # Nothing else needs it.
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(path))

    def step(given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        named = {name: tensor.numpy() for name, tensor in zip(inputs, given, strict=True)}
        return tuple(torch.from_numpy(output) for output in evaluator.run(None, named))

    return step
