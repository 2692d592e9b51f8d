"""Hydra overrides that change nothing: another field of the request sets the value. Requests are checked before."""

from __future__ import annotations

from gaitway.contracts.errors import RequestError
from gaitway.contracts.overrides import SET_BY_REQUEST


def refuse_set_by_request(key: str) -> None:
    """Refuse an override of a value that the request sets.

    Args:
        key: The override's key.

    Raises:
        RequestError: Names the field of the request.
    """
    if key in SET_BY_REQUEST:
        raise RequestError(f"hydraOverrides: {key} is set by trainingConfig.{SET_BY_REQUEST[key]}: give it there")
