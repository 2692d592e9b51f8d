"""Write each machine into a folder, for linters: `python -m statemachines FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from statemachines.machines import MACHINES, render

for name in MACHINES:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.asl.json").write_text(render(name), encoding="utf-8")
