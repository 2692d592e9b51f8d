"""rl_games' mini-batches: their size must divide the batch, and Isaac Lab's sizes do so for 4096 environments only."""

from __future__ import annotations

from typing import Any


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
    """
    config = params["config"]
    batch = config["horizon_length"] * config["num_actors"]
    for part, network in ((config, params.get("network")), _central_value(config)):
        wanted = part.get("minibatch_size")
        if not wanted:
            continue
        length = config.get("seq_length", 4) if (network or {}).get("rnn") else 1
        size = fitting_minibatch(batch, wanted, length if batch % length == 0 else 1)
        if size != wanted:
            part["minibatch_size"] = size
            print(  # noqa: T201 - for the run's log
                f"minibatch_size is {size} instead of {wanted}: it must divide the batch of {batch} steps, "
                f"{config['num_actors']} environments times horizon_length {config['horizon_length']}"
            )


def _central_value(config: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    part = config.get("central_value_config") or {}
    return part, part.get("network")
