"""The cost of a check, from the list prices of the machines that the deployment may start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaitway.compute.batch_image import active_definitions
from gaitway.compute.training_job import TrainingJobTemplate
from gaitway.contracts.backends import DEFAULT_BACKEND
from gaitway.contracts.cluster import AgentConfig
from gaitway.instances.prices import LOCAL, price_of
from gaitway.instances.types import INSTANCE_SIZES

if TYPE_CHECKING:
    from gaitway.acceptance.check import Effort
    from gaitway.acceptance.site import Site
    from gaitway.contracts.backends import Backend

_PRICES_VARIABLE = "GAITWAY_INSTANCE_PRICES"
"""In the environment of jobs: the setting `instancePrices`."""


@dataclass(frozen=True)
class Prices:
    """What machines cost.

    Args:
        instance_types: Those that the deployment may start.
        settings: USD per hour by instance type, as far as a deployer has set them.
    """

    instance_types: tuple[str, ...]
    settings: Mapping[str, float]
    further: Mapping[Backend, str] = field(default_factory=dict)
    """The type that a training of one GPU gets on each further back end, where the deployment knows it."""

    def usd(self, effort: Effort) -> float:
        """Estimate what a check will cost: on demand, on the machine that AWS Batch tries first.

        On a cluster this is the price of the time for which nodes are used, which are paid for in any case.
        """
        return effort.nodes * effort.machine_minutes / 60 * self._usd_per_hour(effort)

    def _usd_per_hour(self, effort: Effort) -> float:
        """Say what the cheapest machine with so many GPUs costs, which BEST_FIT_PROGRESSIVE tries first.

        docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html
        """
        if effort.backend != DEFAULT_BACKEND:
            return self._price(self.further[effort.backend]) if effort.backend in self.further else 0.0
        gpus = effort.gpus
        if self.instance_types == (LOCAL,):
            return self._price(LOCAL)
        fitting = [name for name in self.instance_types if name in INSTANCE_SIZES and INSTANCE_SIZES[name].gpus >= gpus]
        return min((self._price(name) for name in fitting), default=0.0)

    def _price(self, instance_type: str) -> float:
        price = price_of(instance_type, self.settings)
        return price.usd_per_hour if price else 0.0


def read_prices(site: Site) -> Prices:
    """Read what the deployment may start, and what that costs."""
    batch = site.client("batch")
    definitions = active_definitions(batch, site.resources("AWS::Batch::JobDefinition"))
    settings: dict[str, float] = {}
    for definition in definitions:
        for variable in definition.get("containerProperties", {}).get("environment", []):
            if variable.get("name") == _PRICES_VARIABLE:
                settings |= json.loads(variable.get("value") or "{}")
    if site.is_embedded:
        return Prices((LOCAL,), settings)
    names = site.resources("AWS::Batch::ComputeEnvironment")
    environments = batch.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
    types = {name for one in environments for name in one["computeResources"].get("instanceTypes", [])}
    return Prices(tuple(sorted(types)), settings, _further(site))


def _further(site: Site) -> dict[Backend, str]:
    """Read on what the deployment's further back ends train."""
    names, ssm = site.commands.names, site.client("ssm")

    def parameter(name: str) -> str:
        value: str = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        return value

    found: dict[Backend, str] = {}
    if "sagemaker" in site.backends:
        template = TrainingJobTemplate.model_validate_json(parameter(names.training_template))
        found["sagemaker"] = template.instance_types[1]
    if "hyperpod-eks" in site.backends:
        told = AgentConfig.read(parameter(names.agent_parameter("hyperpod-eks")))
        if told.eks is not None:
            found["hyperpod-eks"] = told.eks.instance_type
    return found
