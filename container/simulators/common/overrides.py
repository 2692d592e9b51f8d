"""Hydra overrides that change nothing, since the request says the same elsewhere."""

from __future__ import annotations

from gaitway.contracts.errors import RequestError

SET_BY_REQUEST = {
    "env.scene.num_envs": "numEnvs",
    "agent.max_iterations": "maxIterations",
    "agent.trainer.timesteps": "maxIterations",
    "agent.params.config.max_epochs": "maxIterations",
}
"""Isaac Lab's scripts take these from the command line, where they win over Hydra: an override would change nothing."""


def refuse_set_by_request(key: str) -> None:
    """Refuse an override of what is set by the request.

    Args:
        key: What it would set.

    Raises:
        RequestError: Names the field of the request.
    """
    if key in SET_BY_REQUEST:
        raise RequestError(f"hydraOverrides: {key} is set by trainingConfig.{SET_BY_REQUEST[key]}: give it there")
