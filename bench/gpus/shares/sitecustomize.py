"""Where the time of a training goes: measured inside its processes, each of which writes `shares-RANK.json`.

Python imports a module of this name when it starts, if its directory is on PYTHONPATH. It does nothing in other
processes than simulators. In a simulator it waits for the GPU around what it measures, so that speeds are measured
without it.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_DIRECTORY = Path.cwd()
"""Of the run: other processes than the first work elsewhere."""
_RANK = os.environ.get("RANK", "0")
_WARM_UP = 10
"""Updates at the beginning that count for nothing: kernels are loaded, graphs captured."""
_COLLECTIVES = ("all_reduce", "broadcast", "all_gather", "all_gather_object", "broadcast_object_list", "barrier")
_seconds = {"physics": 0.0, "update": 0.0, "communication": 0.0, "whole": 0.0}
_updates = 0
_last = 0.0


def _measured(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        _wait()
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            _wait()
            _seconds[name] += time.perf_counter() - began

    return measured


def _wait() -> None:
    # Not at the top: torch itself is among what is watched while it is imported.
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _simulation(module: ModuleType) -> None:
    context = module.SimulationContext
    context.step = _measured("physics", context.step)


def _collectives(module: ModuleType) -> None:
    for name in _COLLECTIVES:
        setattr(module, name, _measured("communication", getattr(module, name)))


def _updating(class_name: str, method: str) -> Callable[[ModuleType], None]:
    def hook(module: ModuleType) -> None:
        owner = getattr(module, class_name)
        setattr(owner, method, _counted(_measured("update", getattr(owner, method))))

    return hook


def _counted(update: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(update)
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        global _updates, _last
        result = update(self, *args, **kwargs)
        _updates += 1
        now = time.perf_counter()
        if _updates == _WARM_UP:
            for name in _seconds:
                _seconds[name] = 0.0
        elif _updates > _WARM_UP:
            _seconds["whole"] += now - _last
            if _updates % 10 == 0:
                _write(self)
        _last = time.perf_counter()
        return result

    return counted


def _write(holder: object) -> None:
    modules = list(_modules(vars(holder).values()))
    shares = {
        "updates": _updates - _WARM_UP,
        "seconds": _seconds,
        "weights": _digest(parameter for module in modules for parameter in module.parameters()),
        "normalisers": _digest(buffer for module in modules for buffer in module.buffers()),
    }
    (_DIRECTORY / f"shares-{_RANK}.json").write_text(json.dumps(shares), encoding="utf-8")


def _modules(values: Any) -> Iterator[Any]:  # noqa: ANN401
    import torch

    for value in values:
        if isinstance(value, dict):
            yield from _modules(value.values())
        elif isinstance(value, torch.nn.Module):
            yield value


def _digest(tensors: Iterator[Any]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


_HOOKS: dict[str, Callable[[ModuleType], None]] = {
    "isaaclab.sim.simulation_context": _simulation,
    "torch.distributed": _collectives,
    "rsl_rl.algorithms.ppo": _updating("PPO", "update"),
    "skrl.agents.torch.ppo.ppo": _updating("PPO", "update"),
}
"""By module: what is replaced in it as soon as it has been imported."""


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        hook = _HOOKS.pop(fullname, None)
        # Found again, without us, since the hook has been taken out.
        spec = find_spec(fullname) if hook is not None else None
        if spec is None or spec.loader is None or hook is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            hook(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if any("gaitway.simulators.isaaclab3" in argument for argument in sys.orig_argv) and "torchrun" not in sys.orig_argv:
    sys.meta_path.insert(0, _Finder())
