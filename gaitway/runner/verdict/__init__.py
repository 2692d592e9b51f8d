"""Whether the simulator did what was requested, and if not, why."""
