"""The directory of a training, and its settings."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gaitway.contracts.simulation import LOGS_DIRECTORY
from gaitway.simulators.common.files import written_whole
from gaitway.simulators.embedded.overrides import key_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def make_run_directory(library: str, experiment: str, suffix: str) -> Path:
    """Make a training's directory where Isaac Lab's train.py makes it: `logs/<library>/<experiment>/<time>`."""
    started = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    directory = LOGS_DIRECTORY / library / experiment / (f"{started}_{suffix}" if suffix else started)
    directory.mkdir(parents=True)
    return directory


def write_params(directory: Path, **configs: DataclassInstance) -> None:
    """Write each configuration to `params/<name>.yaml`, in the training's directory."""
    (directory / "params").mkdir(exist_ok=True)
    for name, config in configs.items():
        with written_whole(directory / "params" / f"{name}.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(plain(config), sort_keys=False))


def plain(config: DataclassInstance) -> dict[str, Any]:
    """Return a configuration as plain values, under the names that Hydra and YAML use."""
    values: dict[str, Any] = _plain(asdict(config))
    return values


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Turn tuples into lists, which YAML knows, and fields' names into keys."""
    if isinstance(value, dict):
        return {key_of(key): _plain(child) for key, child in value.items()}
    return [_plain(child) for child in value] if isinstance(value, list | tuple) else value
