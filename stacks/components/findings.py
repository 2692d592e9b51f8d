"""Acknowledging what cdk-nag finds: on the narrowest construct, one finding at a time, with its reason."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one finding on one construct.

    Args:
        construct: The construct that the finding is about.
        finding: The finding as `cdk synth` prints it, without the pack: `IAM5[Resource::*]`.
        reason: Why it is right here.
    """
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=f"AwsSolutions-{finding}", reason=reason))
