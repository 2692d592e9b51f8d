"""Read an agent's settings from a YAML file, as Isaac Lab's tasks have them for skrl and rl_games."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from container.simulators.embedded.libraries import rl_games_config, skrl_config
from container.simulators.embedded.overrides import key_of
from gaitway.contracts.errors import RequestError
from gaitway.contracts.request import RlLibrary

_AGENTS: dict[RlLibrary, Any] = {"skrl": skrl_config.AgentConfig, "rl_games": rl_games_config.AgentConfig}

LEFT_OUT = frozenset(
    {
        # skrl
        "memory",
        "agent.random_timesteps",
        "agent.learning_starts",
        "agent.state_preprocessor_kwargs",
        "agent.value_preprocessor_kwargs",
        "agent.experiment.write_interval",
        "trainer.environment_info",
        "trainer.close_environment_at_exit",
        # rl_games
        "params.algo",
        "params.model",
        "params.load_checkpoint",
        "params.load_path",
        "params.network.name",
        "params.network.space",
        "params.network.mlp.initializer",
        "params.network.mlp.regularizer",
        "params.config.env_name",
        "params.config.device",
        "params.config.device_name",
        "params.config.multi_gpu",
        "params.config.ppo",
        "params.config.mixed_precision",
        "params.config.num_actors",
    }
)
"""Keys of Isaac Lab's files that are not read: scripts set them, or this simulator knows one value only."""


def read_agent(library: RlLibrary, path: Path) -> Any:  # noqa: ANN401
    """Read a file.

    Args:
        library: Whose settings they are.
        path: The file.

    Returns:
        The library's `AgentConfig`.

    Raises:
        RequestError: Names the key that is unknown, or what its value may be.
    """
    if library not in _AGENTS:
        raise RequestError(f"{path.name} holds settings for {library}, whose agents are described in Python only")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    return _build(_AGENTS[library], document, path.name, "")


def _build(kind: Any, data: object, file: str, prefix: str) -> Any:  # noqa: ANN401
    """Make a dataclass of what a group of settings says."""
    if not isinstance(data, Mapping):
        raise RequestError(f"{file}: {prefix.rstrip('.') or 'the file'} is {data!r}, allowed: a group of settings")
    hints = typing.get_type_hints(kind, include_extras=True)
    names = {key_of(field.name): field.name for field in dataclasses.fields(kind)}
    values = {}
    for key, value in data.items():
        where = f"{prefix}{key}"
        if where in LEFT_OUT:
            continue
        if key not in names:
            nearest = difflib.get_close_matches(str(key), names, n=1, cutoff=0)[0]
            raise RequestError(f"{file}: {where} is no known key (did you mean {prefix}{nearest}?)")
        hint = hints[names[key]]
        values[names[key]] = (
            _build(hint, value, file, f"{where}.")
            if dataclasses.is_dataclass(hint)
            else _value(hint, value, file, where)
        )
    try:
        return kind(**values)
    except TypeError as error:
        raise RequestError(f"{file}: {prefix.rstrip('.') or 'the file'} is incomplete: {error}") from error


def _value(hint: Any, value: object, file: str, where: str) -> Any:  # noqa: ANN401
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Input should be ")
        raise RequestError(f"{file}: {where} is {value!r}, allowed: {reason}") from None
