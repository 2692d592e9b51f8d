"""rl_games: the same calls in Isaac Lab 2 and 3."""

from gaitway.simulators.common.isaaclab.rl_games import adapt, watch

__all__ = ["adapt", "watch"]
