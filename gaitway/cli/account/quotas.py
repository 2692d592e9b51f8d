"""How many instances an account may have, and how many the deployment would start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gaitway.cli.findings import Finding
from gaitway.instances.types import INSTANCE_SIZES

if TYPE_CHECKING:
    from types_boto3_batch.type_defs import ComputeEnvironmentDetailTypeDef

_QUOTAS: dict[Literal["on-demand", "Spot"], str] = {"on-demand": "L-DB2E81BA", "Spot": "L-3819A6DF"}
"""Quotas of G and VT instances, in vCPUs: docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html."""


@dataclass(frozen=True)
class InstancePool:
    """The instances that one quota limits."""

    purchase: Literal["on-demand", "Spot"]
    smallest_vcpus: int
    """What the smallest instance has that may be started."""
    max_vcpus: int
    """The most vCPUs that one of the compute environments may have."""

    def compare(self, quota_vcpus: float, options: str) -> Finding:
        """Report what a quota means for these instances.

        Args:
            quota_vcpus: The quota.
            options: Options that direct an AWS CLI command to the account.
        """
        subject, code = f"quota {self.purchase}", _QUOTAS[self.purchase]
        words = f"{quota_vcpus:.0f} vCPUs of G and VT instances ({code})"
        cure = request_more("ec2", code, self.max_vcpus, options)
        if quota_vcpus < self.smallest_vcpus:
            # Without Spot instances, those on demand take the jobs.
            hopeless = self.purchase == "on-demand"
            what = "no job that needs one ever starts" if hopeless else "none of them is ever started"
            return Finding(
                subject=subject,
                state="problem" if hopeless else "note",
                detail=f"{words}, and the smallest instance has {self.smallest_vcpus}: {what}; {cure}",
            )
        if quota_vcpus < self.max_vcpus:
            return Finding(
                subject=subject,
                state="note",
                detail=f"{words}, and a compute environment may have {self.max_vcpus}: runs that need more of them at "
                f"a time wait; {cure}, or lower maxVcpus",
            )
        return Finding(subject=subject, state="ok", detail=words)


def look_at_quotas(
    service_quotas: Any,  # noqa: ANN401 - no stubs are installed for this service
    environments: Sequence[ComputeEnvironmentDetailTypeDef],
    options: str,
) -> Iterator[Finding]:
    """Compare the account's quotas with what compute environments may start.

    Args:
        service_quotas: A client of Service Quotas.
        environments: As AWS Batch describes them.
        options: Options that direct an AWS CLI command to the account.
    """
    yield from look_at_pools(service_quotas, _pools(environments), options)


def look_at_pools(
    service_quotas: Any,  # noqa: ANN401 - no stubs are installed for this service
    pools: Iterable[InstancePool],
    options: str,
) -> Iterator[Finding]:
    """Compare the account's quotas with the instances that they limit.

    Args:
        service_quotas: A client of Service Quotas.
        pools: The instances.
        options: Options that direct an AWS CLI command to the account.
    """
    for pool in pools:
        yield pool.compare(_quota(service_quotas, _QUOTAS[pool.purchase]), options)


def _pools(environments: Sequence[ComputeEnvironmentDetailTypeDef]) -> Iterator[InstancePool]:
    resources = [one["computeResources"] for one in environments if one.get("state") == "ENABLED"]
    for purchase in _QUOTAS:
        bought = [one for one in resources if (one["type"] == "SPOT") == (purchase == "Spot")]
        vcpus = [INSTANCE_SIZES[name].vcpus for one in bought for name in one.get("instanceTypes", [])]
        if vcpus:
            yield InstancePool(purchase, min(vcpus), max(one["maxvCpus"] for one in bought))


def _quota(client: Any, code: str) -> float:  # noqa: ANN401
    """Read a quota of EC2 as it applies to the account; if it has no value there, the default."""
    try:
        quota = client.get_service_quota(ServiceCode="ec2", QuotaCode=code)
    except client.exceptions.NoSuchResourceException:
        quota = client.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode=code)
    return float(quota["Quota"]["Value"])


def request_more(service: str, code: str, value: int, options: str) -> str:
    """Say how to raise a quota.

    Args:
        service: The service's code in Service Quotas.
        code: The quota's code.
        value: What it has to allow.
        options: Options that direct an AWS CLI command to the account.
    """
    return (
        f"request more: `aws service-quotas request-service-quota-increase --service-code {service} "
        f"--quota-code {code} --desired-value {value}{options}`"
    )
