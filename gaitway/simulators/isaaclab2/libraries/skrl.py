"""skrl: the same calls in Isaac Lab 2 and 3."""

from gaitway.simulators.common.isaaclab.skrl import adapt, watch

__all__ = ["adapt", "watch"]
