"""The real runner with a scripted simulator: `python -m tests.local.scripted_runner <script> <run_id>`."""

import sys

from gaitway.runner.__main__ import main
from tests.unit.runner.scripted_simulator import COMMAND

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], simulator=(*COMMAND, sys.argv[1])))
