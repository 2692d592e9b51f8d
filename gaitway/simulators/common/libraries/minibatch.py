"""rl_games' mini-batches: their size must divide the batch, and Isaac Lab's sizes do so for 4096 environments only."""

from __future__ import annotations

from typing import Any

from gaitway.contracts.errors import RequestError


def fitting_minibatch(batch: int, wanted: int, multiple_of: int = 1) -> int:
    """Choose the largest size that divides the batch and is not larger than the requested one.

    Args:
        batch: Steps of all environments of a process in an iteration.
        wanted: The size in the settings.
        multiple_of: Length of the sequences of a recurrent policy, which divides the batch.
    """
    if multiple_of > 1:
        return multiple_of * fitting_minibatch(batch // multiple_of, max(wanted // multiple_of, 1))
    return next(batch // parts for parts in range(-(-batch // wanted), batch + 1) if batch % parts == 0)


def fit_minibatches(params: dict[str, Any]) -> None:
    """Change the sizes in rl_games' parameters so that they divide the batch, and print what was changed.

    rl_games 1.6.1 ends with an AssertionError without words otherwise (rl_games/common/a2c_common.py).

    Raises:
        RequestError: A size is not a whole number above zero.
    """
    config = params["config"]
    horizon = _size("config.horizon_length", config["horizon_length"])
    batch = horizon * config["num_actors"]
    parts = (
        ("config", config, params.get("network")),
        ("config.central_value_config", *_central_value(config)),
    )
    for place, part, network in parts:
        if part.get("minibatch_size") is None:
            continue
        wanted = _size(f"{place}.minibatch_size", part["minibatch_size"])
        length = config.get("seq_length", 4) if (network or {}).get("rnn") else 1
        size = fitting_minibatch(batch, wanted, length if batch % length == 0 else 1)
        part["minibatch_size"] = size
        if size != wanted:
            print(  # noqa: T201 - for the run's log
                f"minibatch_size is {size} instead of {wanted}: it must divide the batch of {batch} steps, "
                f"{config['num_actors']} environments times horizon_length {horizon}"
            )


def _size(name: str, value: object) -> int:
    """Read a size; a whole float, as YAML and JSON writers have it, is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or value < 1:
        raise RequestError(f"agent.params.{name} is {value!r}, allowed: a whole number of at least 1")
    return int(value)


def _central_value(config: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    part = config.get("central_value_config") or {}
    return part, part.get("network")
