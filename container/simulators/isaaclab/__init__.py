"""NVIDIA Isaac Lab 2.3.2: its own scripts train; the evaluation is ours, on its wrappers.

What happens in which order, and what of it is proven where, is in docs/isaaclab.md; why it is so, in
docs/decisions/0006. `isaaclab`, `isaaclab_tasks` and the RL libraries are imported when the simulation app has started,
and not before.
"""
