"""A stand-in for VAMS's function `importGlobalPipelineWorkflow`, as a Lambda of its own; nothing here is VAMS's code.

It keeps what it is told as objects of a bucket, and answers as VAMS 2.4 and 2.5 do, by what their source says:
github.com/awslabs/visual-asset-management-system, backend/backend/handlers/workflows/importGlobalPipelineWorkflow.py.
"""

from __future__ import annotations

import json
import os
from typing import Any

import boto3

ASKED_FOR = {
    *("pipelineId", "pipelineDescription", "pipelineType", "pipelineExecutionType", "assetType", "outputType"),
    *("waitForCallback", "lambdaName", "workflowId", "workflowDescription"),
}
"""What VAMS refuses to do without."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Register or forget a pipeline and its workflow."""
    del context
    event_fields = {"RequestType", "ResourceProperties", "ResponseURL", "StackId", "RequestId", "LogicalResourceId"}
    if missing := event_fields - set(event):
        return _answer(400, error=f"Missing required field: {missing}")
    if event["ResponseURL"].startswith("http"):
        return _answer(400, error="this one would answer CloudFormation itself")
    properties = event["ResourceProperties"]
    s3, place = boto3.client("s3"), {"Bucket": os.environ["BUCKET"], "Key": properties["pipelineId"]}
    if event["RequestType"] == "Delete":
        s3.delete_object(**place)
        return _answer(200, message="deleted")
    if missing := {name for name in ASKED_FOR if not properties.get(name)}:
        return _answer(400, error=f"Missing required pipeline field: {missing}")
    if not properties["outputType"].startswith("."):
        return _answer(400, error="outputType must be a valid file extension")
    if not all(isinstance(value, str) for value in properties.values()):
        return _answer(400, error="every field is a text")
    is_known = s3.list_objects_v2(Bucket=place["Bucket"], Prefix=place["Key"])["KeyCount"] == 1
    if is_known and event["RequestType"] == "Create":
        return _answer(500, error=f"Pipeline {place['Key']} already exists. Use UPDATE operation to modify it.")
    json.loads(properties["inputParameters"])
    s3.put_object(**place, Body=json.dumps(properties).encode())
    return _answer(200, message="updated" if is_known else "created")


def _answer(status: int, **body: str) -> dict[str, Any]:
    return {"statusCode": status, "body": json.dumps(body)}
