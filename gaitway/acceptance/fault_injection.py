"""Interrupt a Spot instance as EC2 does, with two minutes' notice: the AWS Fault Injection Service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_ACTION = "aws:ec2:send-spot-instance-interruptions"
"""docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html"""


def interrupt_spot_instance(site: Site, instance_id: str, role_arn: str) -> str:
    """Start an experiment that interrupts one instance; its template is deleted at once, which ends no experiment.

    docs.aws.amazon.com/fis/latest/userguide/delete-template.html

    Args:
        site: Where the instance is.
        instance_id: The instance.
        role_arn: What FIS acts as: it needs ec2:SendSpotInstanceInterruptions.

    Returns:
        The experiment's id.
    """
    fis = site.client("fis")
    caller = site.client("sts").get_caller_identity()
    partition = caller["Arn"].split(":")[1]
    instance_arn = f"arn:{partition}:ec2:{site.session.region_name}:{caller['Account']}:instance/{instance_id}"
    # Shapes: docs.aws.amazon.com/fis/latest/userguide/action-sequence.html
    template = fis.create_experiment_template(
        description="Gaitway acceptance: interrupt the instance of one run",
        roleArn=role_arn,
        stopConditions=[{"source": "none"}],
        targets={
            "instance": {
                "resourceType": "aws:ec2:spot-instance",
                "resourceArns": [instance_arn],
                "selectionMode": "ALL",
            }
        },
        actions={
            "interrupt": {
                "actionId": _ACTION,
                "parameters": {"durationBeforeInterruption": "PT2M"},
                "targets": {"SpotInstances": "instance"},
            }
        },
    )["experimentTemplate"]["id"]
    try:
        experiment: str = fis.start_experiment(experimentTemplateId=template)["experiment"]["id"]
    finally:
        fis.delete_experiment_template(id=template)
    return experiment
