"""The agent in a container, whose image has no command line: `python -m gaitway.agent`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gaitway.agent.schedulers import SCHEDULERS
from gaitway.agent.start import read_parameter, start
from gaitway.contracts.cluster import AgentConfig


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, and be the agent."""
    parser = argparse.ArgumentParser(prog="python -m gaitway.agent", description="Be the agent of a cluster.")
    parser.add_argument("--scheduler", choices=SCHEDULERS, required=True)
    parser.add_argument("--parameter", required=True, help="Name of its configuration in Systems Manager.")
    given = parser.parse_args(arguments)
    start(SCHEDULERS[given.scheduler], AgentConfig.read(read_parameter(given.parameter)))


if __name__ == "__main__":
    main()
