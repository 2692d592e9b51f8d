"""Train on this machine's GPUs: `python -m bench.gpus --simulator isaaclab-3 --write page.md`.

This is not part of `make bench`, which needs no GPU. It needs torch with CUDA and what the simulator needs; for a
machine without a network `python -m bench.gpus.kit` packs everything but torch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.gpus import embedded, isaaclab3
from bench.gpus.isaaclab3 import LIBRARIES, PARTS, TASKS


def main(arguments: list[str] | None = None) -> int:
    """Measure.

    Returns:
        Exit code: 0 when everything that was tried succeeded.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.gpus", description=__doc__)
    parser.add_argument("--simulator", choices=("embedded", "isaaclab-3"), default="embedded")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="isaaclab-3: what to measure")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="isaaclab-3: on which tasks")
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=LIBRARIES, help="isaaclab-3: with which")
    parser.add_argument(
        "--processes", nargs="+", type=int, help="isaaclab-3, scaling: one per GPU; 1 and all by default"
    )
    parser.add_argument("--environments", nargs="+", type=int, default=[8192], help="isaaclab-3, scaling: per GPU")
    parser.add_argument("--directory", type=Path, help="isaaclab-3: keep the runs here")
    parser.add_argument("--write", type=Path, help="isaaclab-3: a Markdown file for the tables, written as they grow")
    options = parser.parse_args(arguments)
    return embedded.measure() if options.simulator == "embedded" else isaaclab3.measure(options)


if __name__ == "__main__":
    sys.exit(main())
