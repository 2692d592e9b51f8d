"""What goes wrong: a module for each party."""

from tests.faults.scenarios import callers, events, functions, jobs, network, objects, simulators

__all__ = ["callers", "events", "functions", "jobs", "network", "objects", "simulators"]
