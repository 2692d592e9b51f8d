"""GaitwayNetwork: the network of all other stacks."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.network import Network


class NetworkStack(cdk.Stack):
    """The VPC.

    Attributes:
        network: The VPC and its security groups.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, *, env: cdk.Environment | None) -> None:
        super().__init__(
            scope,
            construct_id,
            env=env,
            stack_name=settings.names.stack("Network"),
            description="Gaitway: network",
        )
        self.network = Network(self, "Network", settings)
