"""The key with which EBS encrypts the instances' volumes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gaitway.cli.account.instances import Client, Instances
from gaitway.cli.account.service_roles import AUTO_SCALING, SPOT, service_roles
from gaitway.cli.findings import Finding

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

_SUBJECT = "key of volumes"
_PATH = "role/aws-service-role/"
_OF_AWS = "alias/aws/ebs"
_OPERATIONS = (
    "Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext DescribeKey CreateGrant"
)


def look_at_disk_key(ec2: Client, kms: Client, iam: IAMClient, instances: Instances, options: str) -> Iterator[Finding]:
    """Check whether the services that start instances may use the account's default EBS key, if it is a customer key.

    Otherwise an instance ends as it starts, with Client.InternalError, and its job waits for ever:
    docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html,
    docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html

    Args:
        ec2: A client of EC2.
        kms: A client of KMS.
        iam: A client of IAM.
        instances: The instances that are deployed, or will be.
        options: Options that direct an AWS CLI command to the account.
    """
    key = ec2.get_ebs_default_kms_key_id()["KmsKeyId"]
    if key.endswith(_OF_AWS):
        yield Finding(subject=_SUBJECT, state="ok", detail="AWS's own")
        return
    described = kms.describe_key(KeyId=key)["KeyMetadata"]
    if described.get("KeyManager") == "AWS":
        yield Finding(subject=_SUBJECT, state="ok", detail="AWS's own")
        return
    key_arn = described["Arn"]
    allowed = kms.get_key_policy(KeyId=key_arn, PolicyName="default")["Policy"]
    grants = kms.get_paginator("list_grants").paginate(KeyId=key_arn)
    allowed += " ".join(grant.get("GranteePrincipal", "") for page in grants for grant in page["Grants"])
    services = (AUTO_SCALING, SPOT) if instances.use_spot else (AUTO_SCALING,)
    without = [service for service in services if f"{_PATH}{service}/" not in allowed]
    if not without:
        yield Finding(subject=_SUBJECT, state="ok", detail=f"{key_arn}, which {' and '.join(services)} may use")
        return
    roles = service_roles(iam)
    for service in without:
        cure = (
            f"run `aws kms create-grant --key-id {key_arn} --grantee-principal {roles[service]} --operations "
            f"{_OPERATIONS}{options}`, or add that role to the key's policy"
            if service in roles
            else "make that role first, with the command above, and ask again"
        )
        yield Finding(
            subject=_SUBJECT,
            state="problem",
            detail=f"EBS encrypts with {key_arn}, and neither its policy nor a grant names the service-linked role of "
            f"{service}: instances end as they start; {cure}",
        )
