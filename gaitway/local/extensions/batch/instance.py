"""The instance that jobs run on, as far as they see anything of it: this machine."""

import os
from pathlib import Path

from gaitway.contracts.history import Machine
from gaitway.instances.prices import LOCAL
from gaitway.local.runtime import Runtime

_MACHINE_FILE = "etc/gaitway/machine.json"
"""What stacks/components/instance_boot.sh writes."""


def instance_directory(runtime: Runtime) -> Path:
    """Return the directory that represents the instance's file system after its boot."""
    directory = runtime.state_directory / "instance"
    machine_file = directory / _MACHINE_FILE
    if not machine_file.exists():
        machine_file.parent.mkdir(parents=True, exist_ok=True)
        machine = Machine(instance_type=LOCAL).model_dump_json(by_alias=True, include={"instance_type", "purchase"})
        # Another job may be started at the same moment.
        draft = machine_file.with_suffix(f".{os.urandom(4).hex()}")
        draft.write_text(machine, encoding="utf-8")
        draft.replace(machine_file)
    return directory
