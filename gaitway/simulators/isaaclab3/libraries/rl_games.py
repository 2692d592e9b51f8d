"""rl_games: the same calls in Isaac Lab 2 and 3."""

import torch

from gaitway.simulators.common.ranks import replaced

# It compiles a network for its own tests on import, and importing the compiler takes longer than everything else.
with replaced(torch, "compile", lambda function: function):
    from gaitway.simulators.common.isaaclab.rl_games import adapt, watch

__all__ = ["adapt", "watch"]
