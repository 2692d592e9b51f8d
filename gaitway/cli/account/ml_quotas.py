"""How many instances SageMaker lets an account have, and how many the deployment would start.

Each instance type has a quota for each use, which Service Quotas lists by its name: `ml.g6.2xlarge for training job
usage`. docs.aws.amazon.com/general/latest/gr/sagemaker.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gaitway.cli.account.quotas import request_more
from gaitway.cli.findings import Finding
from gaitway.compute.training_job import TrainingJobTemplate

if TYPE_CHECKING:
    from gaitway.names import Names
    from gaitway.settings import Settings

TRAINING = "training job usage"
SPOT_TRAINING = "spot training job usage"
WARM_POOL = "training warm pool usage"

Client = Any
"""Of Service Quotas, and of services whose operations are newer than their stubs."""


@dataclass(frozen=True)
class InstanceNeed:
    """What one quota has to allow."""

    instance_type: str
    use: str
    """What the instances are for, in the words of the quota's name."""
    instances: int
    """The most that the deployment starts at once."""
    setting: str
    """Which says so."""
    without: str
    """What does not happen without any."""
    is_problem: bool = True
    """Whether no run is possible without any."""

    @property
    def quota(self) -> str:
        """The quota's name."""
        return f"{self.instance_type} for {self.use}"


class Quota(NamedTuple):
    """A quota's value in the account, and its code."""

    code: str
    value: float


def planned_training(settings: Settings) -> list[InstanceNeed]:
    """List what the settings need for training jobs; nothing without SageMaker."""
    if "sagemaker" not in settings.backends:
        return []
    return _training(
        settings.sagemaker_types.values(),
        settings.sagemaker_max_instances,
        use_spot=settings.use_spot,
        is_kept_warm=settings.sagemaker_warm_seconds > 0,
    )


def deployed_training(ssm: Client, batch: Client, names: Names) -> list[InstanceNeed]:
    """List what a deployment needs for training jobs; nothing without SageMaker.

    Args:
        ssm: A client of Systems Manager.
        batch: A client of AWS Batch.
        names: The deployment's names.
    """
    try:
        parameter = ssm.get_parameter(Name=names.training_template)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return []
    template = TrainingJobTemplate.model_validate_json(parameter)
    found = batch.describe_service_environments(serviceEnvironments=[names.training_environment])
    limits = [limit for one in found["serviceEnvironments"] for limit in one["capacityLimits"]]
    return _training(
        template.instance_types.values(),
        sum(limit["maxCapacity"] for limit in limits),
        use_spot=bool(template.wait_seconds),
        is_kept_warm=bool(template.training_job["ResourceConfig"].get("KeepAlivePeriodInSeconds")),
    )


def look_at_ml_quotas(service_quotas: Client, needs: Collection[InstanceNeed], options: str) -> Iterator[Finding]:
    """Compare the account's quotas of SageMaker with what is needed.

    Args:
        service_quotas: A client of Service Quotas.
        needs: What is needed; without any, nothing is asked.
        options: Options that direct an AWS CLI command to the account.
    """
    if not needs:
        return
    quotas = sagemaker_quotas(service_quotas, {need.quota for need in needs})
    for need in needs:
        yield _compare(need, quotas.get(need.quota), options)


def _training(types: Collection[str], instances: int, *, use_spot: bool, is_kept_warm: bool) -> list[InstanceNeed]:
    use = SPOT_TRAINING if use_spot else TRAINING
    needs = []
    for name in dict.fromkeys(types):
        setting = "sagemakerMaxInstances"
        needs.append(InstanceNeed(name, use, instances, setting, "no run that needs one on SageMaker ever starts"))
        if is_kept_warm:
            without = "none is kept for the next job, in spite of sagemakerWarmSeconds"
            needs.append(InstanceNeed(name, WARM_POOL, instances, setting, without, is_problem=False))
    return needs


def _compare(need: InstanceNeed, quota: Quota | None, options: str) -> Finding:
    subject = f"quota {need.instance_type}"
    if quota is None:
        detail = f"Service Quotas lists no {need.quota!r}: look for it in its console, under Amazon SageMaker"
        return Finding(subject=subject, state="note", detail=detail)
    words = f"{quota.value:.0f} {'instance' if quota.value == 1 else 'instances'} for {need.use} ({quota.code})"
    cure = request_more("sagemaker", quota.code, need.instances, options)
    if quota.value < 1:
        detail = f"{words}: {need.without}; {cure}"
        return Finding(subject=subject, state="problem" if need.is_problem else "note", detail=detail)
    if quota.value < need.instances:
        detail = f"{words}, and {need.setting} is {need.instances}: others wait; {cure}, or lower {need.setting}"
        return Finding(subject=subject, state="note", detail=detail)
    return Finding(subject=subject, state="ok", detail=words)


def sagemaker_quotas(client: Client, names: set[str]) -> dict[str, Quota]:
    """Read quotas of SageMaker by their names: as they apply to the account, or their defaults.

    docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html: where only the default value
    is available, the list of the account's own does not have it.
    """
    found: dict[str, Quota] = {}
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        if missing := names - found.keys():
            for page in client.get_paginator(operation).paginate(ServiceCode="sagemaker"):
                for quota in page["Quotas"]:
                    if quota["QuotaName"] in missing:
                        found[quota["QuotaName"]] = Quota(quota["QuotaCode"], quota["Value"])
    return found
