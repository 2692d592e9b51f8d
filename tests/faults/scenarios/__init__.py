"""The faults: a module for each part of the system."""

from tests.faults.scenarios import callers, events, functions, jobs, network, nodes, objects, simulators

__all__ = ["callers", "events", "functions", "jobs", "network", "nodes", "objects", "simulators"]
