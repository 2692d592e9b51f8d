"""Say what a simulation runs with: versions and device, as this process finds them."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from gaitway.contracts.simulation import RAN_WITH, RanWith, SimulationJob
from gaitway.libraries import record_of
from gaitway.libraries.simulators import SIMULATORS, Simulator
from gaitway.libraries.versions import installed_versions
from gaitway.simulators.common.ranks import Ranks

if TYPE_CHECKING:
    import torch

_CPUS = Path("/proc/cpuinfo")
_CPU_NAME = "model name"


def write_ran_with(simulator: Simulator, job: SimulationJob, ranks: Ranks) -> None:
    """Write the file into the working directory, from the leading process only; where torch may be imported.

    Args:
        simulator: Which one this is.
        job: Names the RL library.
        ranks: Of this process.
    """
    if not ranks.leads:
        return
    library = job.training.library
    packages = {"gymnasium", "torch", *SIMULATORS[simulator].packages}
    ran_with = RanWith(
        simulator=simulator,
        device=_name(ranks.device()),
        versions=installed_versions(packages | ({record_of(library).distribution} if library else set())),
    )
    # Readers find a complete file.
    draft = Path(f".{RAN_WITH}.draft")
    draft.write_text(ran_with.model_dump_json(by_alias=True, indent=2), encoding="utf-8")
    draft.replace(RAN_WITH)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    try:
        lines = _CPUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = next((line.partition(":")[2].strip() for line in lines if line.startswith(_CPU_NAME)), "")
    return found or platform.processor() or platform.machine()
