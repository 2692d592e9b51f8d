"""What a run can do: one module for each workload, with everything that is different from other workloads.

Functions, runner, reports and command line use `workload_of`. The fields of a request are in
`gaitway.contracts.workload`. CONTRIBUTING.md says how to add a workload.
"""

from gaitway.workloads.registry import WORKLOADS, workload_of
from gaitway.workloads.workload import Rows, Standing, Workload

__all__ = ["WORKLOADS", "Rows", "Standing", "Workload", "workload_of"]
