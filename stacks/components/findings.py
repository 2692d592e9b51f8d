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


def acknowledge_wildcard(role: IConstruct, arn: str, reason: str) -> None:
    """Accept that a role has a permission on every resource of a type.

    Args:
        role: The role.
        arn: The ARN with its wildcard.
        reason: Why no narrower one is possible.
    """
    acknowledge(role, f"IAM5[Resource::{_in_words(cdk.Stack.of(role).resolve(arn))}]", reason)


def _in_words(value: object) -> str:
    """Write a resolved value as cdk-nag does; what its references say depends on whether account and region are known.

    Raises:
        TypeError: The value holds something that has not occurred so far.
    """
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            return f"<{name}>"
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"<{name}.{attribute}>"
        case {"Fn::ImportValue": str(export)}:
            return export
        case {"Fn::Join": [str(separator), list(parts)]}:
            return separator.join(map(_in_words, parts))
    raise TypeError(f"cannot put into words: {value!r}")
