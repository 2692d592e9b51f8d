"""Reading data that is encrypted with a key of the account that is not known here."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from stacks.components.findings import acknowledge_wildcard


def allow_decrypting(
    role: iam.Role,
    *,
    service: str,
    region: str,
    context_key: str,
    context_values: Sequence[str],
    reason: str,
) -> None:
    """Let a role decrypt certain things, only through the service that keeps them.

    The key may be any: the service passes an encryption context to KMS, and the permission depends on that
    (docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-encryption-context).

    Args:
        role: The role.
        service: The service, as KMS names it: `s3`.
        region: Its region, and the key's.
        context_key: The service's name for the thing in its encryption context.
        context_values: The things.
        reason: Why the key is not known; for cdk-nag's finding.
    """
    keys = cdk.Stack.of(role).format_arn(service="kms", region=region, account="*", resource="key", resource_name="*")
    # In China it is not said whether a service is named with the partition's own suffix.
    suffixes = ("amazonaws.com", cdk.Aws.URL_SUFFIX)
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["kms:Decrypt"],
            resources=[keys],
            conditions={
                "StringEquals": {
                    "kms:ViaService": [f"{service}.{region}.{suffix}" for suffix in suffixes],
                    f"kms:EncryptionContext:{context_key}": list(context_values),
                }
            },
        )
    )
    acknowledge_wildcard(role, keys, reason)
