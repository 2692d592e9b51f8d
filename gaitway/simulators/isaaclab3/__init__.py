"""NVIDIA Isaac Lab 3.0 with Newton physics, without Isaac Sim: its own entry points train; the evaluation is ours.

docs/isaaclab.md says what differs from 2.3.2, and docs/decisions/0034 why its training is watched from within, too.
`isaaclab`, `isaaclab_tasks` and the RL libraries are imported when the path to them is set, and not before.
"""
