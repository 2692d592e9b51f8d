"""NVIDIA Isaac Lab 2.3.2: its own scripts train; the evaluation is ours, on its wrappers.

The order of events, and where each is tested, is in docs/isaaclab.md; the reasons are in
docs/decisions/0006. `isaaclab`, `isaaclab_tasks` and the RL libraries are imported when the simulation app has started,
and not before.
"""
