"""The stacks can be deleted, and nothing stays but what holds data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings
from gaitway.client.deployment import deployed_stacks

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_KEPT = ("s3", "dynamodb", "elasticfilesystem", "backup")
"""Services whose resources stay, because they may hold the only copy of a policy: docs/deploy.md."""


def judge_leftovers(arns: list[str]) -> str | None:
    """Return which of the stacks' resources remain that hold no data; None if there are none.

    Args:
        arns: Resources with the stacks' tag.
    """
    left = [arn for arn in arns if arn.split(":")[2] not in _KEPT and not _is_leaving(arn)]
    return f"{len(left)} resources stay: {', '.join(left)}" if left else None


def _is_leaving(arn: str) -> bool:
    """A key is deleted seven days after its stack, and a network interface of a function within 40 minutes.

    docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html,
    docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    return ":kms:" in arn or ":network-interface/" in arn


def _run(site: Site, findings: Findings) -> None:
    cloudformation = site.client("cloudformation")
    stacks = deployed_stacks(cloudformation, site.commands.names)
    for stack in reversed(stacks):
        with site.progress.waiting(f"Deleting {stack}"):
            cloudformation.delete_stack(StackName=stack)
            # Half an hour: a function's network interfaces leave slowly.
            waiter = cloudformation.get_waiter("stack_delete_complete")
            waiter.wait(StackName=stack, WaiterConfig={"Delay": 15, "MaxAttempts": 160})
        findings.note("deleted", stack)
    pages = site.client("resourcegroupstaggingapi").get_paginator("get_resources")
    # docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-resource-tags.html
    wanted = [{"Key": "aws:cloudformation:stack-name", "Values": stacks}]
    arns = [
        resource["ResourceARN"]
        for page in pages.paginate(TagFilters=wanted)
        for resource in page["ResourceTagMappingList"]
    ]
    for arn in arns:
        findings.note("stays", arn)
    if problem := judge_leftovers(arns):
        raise CheckFailedError(f"{problem}. docs/deploy.md says how to delete it by hand")


CHECK = Check(
    name="teardown",
    title="Nothing is left after the deployment is deleted",
    effort=Effort(minutes=30),
    leaves="no deployment; but buckets, run table, file system and backups, which are billed until you delete them",
    run=_run,
    not_here="`gaitway local reset` forgets everything, whatever the stacks say",
    only_by_name=True,
)
