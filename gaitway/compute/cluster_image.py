"""Which image a job on a cluster runs."""

from __future__ import annotations

from gaitway.compute.targets import of_simulator
from gaitway.contracts.cluster import AgentConfig, SubmitOrder
from gaitway.libraries.simulators import SIMULATORS


def image_of(order: SubmitOrder, config: AgentConfig) -> str | None:
    """Choose the image of a job: that of its run's simulator; None where the runner is installed on the nodes.

    Raises:
        RequestError: The simulator is not deployed any more.
    """
    known = {simulator: config.images[simulator] for simulator in SIMULATORS if simulator in config.images}
    return of_simulator(known, order.simulator) if known else config.image
