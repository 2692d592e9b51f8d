"""Whatever holds data is encrypted, and reached over TLS only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.infra.templates import Resource, Synthesis, containers

_CLEAR_TEXT = {"Bool": {"aws:SecureTransport": "false"}}

Properties = dict[str, Any]


def _disks(properties: Properties) -> list[Properties]:
    return [device["Ebs"] for device in properties["LaunchTemplateData"].get("BlockDeviceMappings", [])]


# CloudWatch Logs, ECR and CodeBuild encrypt everything with keys of their own; a key of ours would be named here:
# docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
ALWAYS = {"AWS::CodeBuild::Project", "AWS::ECR::Repository", "AWS::Logs::LogGroup"}
AT_REST: dict[str, Callable[[Properties], bool]] = {
    "AWS::DynamoDB::Table": lambda table: table["SSESpecification"]["SSEEnabled"],
    "AWS::EC2::LaunchTemplate": lambda template: all(disk["Encrypted"] for disk in _disks(template)),
    "AWS::EFS::FileSystem": lambda system: system["Encrypted"],
    "AWS::S3::Bucket": lambda bucket: bool(bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]),
    "AWS::SNS::Topic": lambda topic: "KmsMasterKeyId" in topic,
    "AWS::SQS::Queue": lambda queue: queue.get("SqsManagedSseEnabled", False) or "KmsMasterKeyId" in queue,
}
OTHERS = {
    "AWS::DocDB::DBCluster", "AWS::EC2::Volume", "AWS::ElastiCache::ReplicationGroup", "AWS::FSx::FileSystem",
    "AWS::Kinesis::Stream", "AWS::KinesisFirehose::DeliveryStream", "AWS::OpenSearchService::Domain",
    "AWS::RDS::DBCluster", "AWS::RDS::DBInstance", "AWS::SecretsManager::Secret",
}  # fmt: skip
"""Further types that hold data: when you add one, say above how it is encrypted."""


def test_everything_is_encrypted_at_rest(aws: Synthesis) -> None:
    found = {resource.type for resource in aws.resources()}
    assert found >= AT_REST.keys()
    assert not found & OTHERS
    for resource in aws.resources():
        if resource.type in AT_REST:
            assert AT_REST[resource.type](resource.properties) is True, resource.name


def test_the_disks_of_instances_are_described_and_so_encrypted(aws: Synthesis) -> None:
    assert any(_disks(template.properties) for template in aws.resources("AWS::EC2::LaunchTemplate"))


def _refused(aws: Synthesis, type_: str, resource: str) -> set[str]:
    """The resources, in words, whose policy denies clear text to everybody."""
    return {
        aws.text(policy.stack, named)
        for policy in aws.resources(type_)
        for named in _listed(policy.properties[resource])
        if any(_denies_clear_text(statement) for statement in policy.properties["PolicyDocument"]["Statement"])
    }


def _denies_clear_text(statement: dict[str, Any]) -> bool:
    return (
        statement["Effect"] == "Deny"
        and statement["Principal"] in ("*", {"AWS": "*"})
        and statement["Condition"] == _CLEAR_TEXT
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _names(resources: list[Resource]) -> set[str]:
    return {f"<{resource.name}>" for resource in resources}


def test_buckets_queues_topics_and_file_systems_refuse_clear_text(aws: Synthesis) -> None:
    assert _refused(aws, "AWS::S3::BucketPolicy", "Bucket") == _names(aws.resources("AWS::S3::Bucket"))
    assert _refused(aws, "AWS::SQS::QueuePolicy", "Queues") == _names(aws.resources("AWS::SQS::Queue"))
    assert _refused(aws, "AWS::SNS::TopicPolicy", "Topics") == _names(aws.resources("AWS::SNS::Topic"))
    for file_system in aws.resources("AWS::EFS::FileSystem"):
        assert any(map(_denies_clear_text, file_system.properties["FileSystemPolicy"]["Statement"])), file_system.name


def test_jobs_mount_the_file_system_over_tls_with_their_role(aws: Synthesis) -> None:
    mounted = [
        volume["EfsVolumeConfiguration"]
        for definition in aws.resources("AWS::Batch::JobDefinition")
        for container in containers(definition.properties)
        for volume in container["Volumes"]
        if "EfsVolumeConfiguration" in volume
    ]
    assert mounted
    for volume in mounted:
        assert volume["TransitEncryption"] == "ENABLED"
        assert volume["AuthorizationConfig"]["Iam"] == "ENABLED"


def test_nobody_is_sent_to_an_address_without_tls(aws: Synthesis) -> None:
    for template in aws.templates.values():
        assert "'http://" not in str(template["Resources"])
