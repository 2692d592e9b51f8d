"""What keeps data: private, and not deleted with its stack. That it is encrypted, test_encryption.py looks at."""

from __future__ import annotations

from gaitway.aws.run_table import BY_GROUP, BY_STATE, IndexedRun
from tests.infra.templates import Synthesis


def test_every_bucket_is_private(aws: Synthesis) -> None:
    buckets = aws.resources("AWS::S3::Bucket")
    assert buckets
    for bucket in buckets:
        assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}, bucket.name


def test_the_asset_bucket_keeps_versions_and_logs_access(aws: Synthesis) -> None:
    bucket = aws.resource("AWS::S3::Bucket", "Assets").properties
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["LoggingConfiguration"]["DestinationBucketName"]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in bucket["LifecycleConfiguration"]["Rules"])


def test_the_run_table_has_the_keys_that_the_runs_are_read_by(aws: Synthesis) -> None:
    table = aws.resource("AWS::DynamoDB::Table").properties
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [
        ("run_id", "HASH"),
        ("item", "RANGE"),
    ]


def test_runs_are_found_by_state_and_by_group_in_indexes_without_what_changes_all_the_time(
    aws: Synthesis,
) -> None:
    indexes = {
        index["IndexName"]: index for index in aws.resource("AWS::DynamoDB::Table").properties["GlobalSecondaryIndexes"]
    }
    for name, partition_key in ((BY_STATE, "state"), (BY_GROUP, "group_id")):
        index = indexes.pop(name)
        keys = [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]]
        assert keys == [(partition_key, "HASH"), ("created_at", "RANGE")]
        held = {"run_id", "created_at", partition_key, *index["Projection"]["NonKeyAttributes"]}
        assert held - {"group_id"} == set(IndexedRun._fields)
    assert indexes == {}


def test_the_run_table_can_be_restored(aws: Synthesis) -> None:
    table = aws.resource("AWS::DynamoDB::Table").properties
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def test_what_holds_data_outlives_its_stack(aws: Synthesis) -> None:
    for type_ in ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::EFS::FileSystem"):
        for resource in aws.resources(type_):
            assert resource.attributes["DeletionPolicy"] == "Retain", resource.name


def test_the_file_system_is_reached_by_jobs_and_by_the_function_that_saves_what_they_left(aws: Synthesis) -> None:
    rules = [rule for rule in aws.resources("AWS::EC2::SecurityGroupIngress") if "FileSystemSecurityGroup" in rule.name]
    assert {(rule.properties["FromPort"], rule.properties["ToPort"]) for rule in rules} == {(2049, 2049)}
    assert {aws.text(rule.stack, rule.properties["SourceSecurityGroupId"]) for rule in rules} == {
        "<Network/ComputeSecurityGroup.GroupId>",
        "<Network/FunctionSecurityGroup.GroupId>",
    }


def test_the_file_system_stands_where_no_way_leads_out(aws: Synthesis) -> None:
    isolated = {
        f"<{subnet.name.removesuffix('/Subnet')}/Subnet>"
        for subnet in aws.resources("AWS::EC2::Subnet")
        if {"Key": "aws-cdk:subnet-type", "Value": "Isolated"} in subnet.properties["Tags"]
    }
    targets = aws.resources("AWS::EFS::MountTarget")
    assert {aws.text(target.stack, target.properties["SubnetId"]) for target in targets} == isolated
