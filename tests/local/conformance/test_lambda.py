"""Lambda functions of the embedded AWS: what ours rely on."""

import io
import json
import sys
import uuid
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conformance.workflow import ROLE_ARN, create_any_role
from tests.local.emulator import Emulator

HANDLER = """
import os
import boto3
import library

invocations = 0

def handler(event, context):
    global invocations
    invocations += 1
    print("event", event["word"])
    return {
        "account": boto3.client("sts").get_caller_identity()["Account"],
        "endpoint": os.environ["AWS_ENDPOINT_URL"],
        "region": os.environ["AWS_REGION"],
        "library": library.NAME,
        "invocations": invocations,
    }
"""


def archive(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return content.getvalue()


@pytest.fixture(scope="module")
def function(emulator: Emulator) -> str:
    """A function with a layer."""
    create_any_role(emulator.client("iam"))
    lambda_ = emulator.client("lambda")
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layer = lambda_.publish_layer_version(
        LayerName="library", Content={"ZipFile": archive(**{"python/library.py": "NAME = 'from the layer'"})}
    )
    name = f"function-{uuid.uuid4().hex[:8]}"
    lambda_.create_function(
        FunctionName=name,
        Runtime=runtime,
        Role=ROLE_ARN,
        Handler="index.handler",
        Code={"ZipFile": archive(**{"index.py": HANDLER})},
        Layers=[layer["LayerVersionArn"]],
    )
    return name


def invoke(emulator: Emulator, function: str, word: str) -> dict[str, Any]:
    response = emulator.client("lambda").invoke(FunctionName=function, Payload=json.dumps({"word": word}))
    return dict(json.load(response["Payload"]))


def test_a_function_finds_its_layer_and_its_own_emulator(emulator: Emulator, function: str) -> None:
    answer = invoke(emulator, function, "first")
    assert answer["endpoint"] == emulator.endpoint_url
    assert answer["account"] == "000000000000"
    assert answer["region"] == "us-east-1"
    assert answer["library"] == "from the layer"


def test_a_warm_function_keeps_its_process(emulator: Emulator, function: str) -> None:
    first, second = (invoke(emulator, function, "warm")["invocations"] for _ in range(2))
    assert second == first + 1


def test_what_a_function_prints_is_in_its_log_group(emulator: Emulator, function: str) -> None:
    word = uuid.uuid4().hex
    invoke(emulator, function, word)
    events = emulator.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    assert f"event {word}" in [event["message"] for event in events]


MOUNTING_HANDLER = """
import os
from pathlib import Path

def handler(event, context):
    root = Path(os.environ["ROOT"])
    return {"found": sorted(path.name for path in root.iterdir()), "left alone": os.environ["OTHER"]}
"""


def mounting_function(emulator: Emulator, **configuration: Any) -> tuple[str, str]:
    """Create a function that mounts an access point at /mnt/runs; return its name and the file system's id."""
    efs = emulator.client("efs")
    file_system = efs.create_file_system(CreationToken=uuid.uuid4().hex)["FileSystemId"]
    access_point = efs.create_access_point(
        ClientToken=uuid.uuid4().hex, FileSystemId=file_system, RootDirectory={"Path": "/gaitway"}
    )
    create_any_role(emulator.client("iam"))
    name = f"function-{uuid.uuid4().hex[:8]}"
    emulator.client("lambda").create_function(
        FunctionName=name,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role=ROLE_ARN,
        Handler="index.handler",
        Code={"ZipFile": archive(**{"index.py": MOUNTING_HANDLER})},
        Environment={"Variables": {"ROOT": "/mnt/runs/one", "OTHER": "/mnt/runs-of-others"}},
        FileSystemConfigs=[{"Arn": access_point["AccessPointArn"], "LocalMountPath": "/mnt/runs"}],
        **configuration,
    )
    return name, file_system


def test_a_function_sees_what_an_access_point_shows_of_its_file_system(emulator: Emulator) -> None:
    vpc = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    name, file_system = mounting_function(emulator, VpcConfig=vpc)
    directory = emulator.state_directory / "efs" / file_system / "gaitway" / "one"
    directory.mkdir(parents=True)
    (directory / "model_0.pt").touch()
    answer = invoke(emulator, name, "look")
    assert answer == {"found": ["model_0.pt"], "left alone": "/mnt/runs-of-others"}


def test_a_function_outside_a_vpc_mounts_nothing(emulator: Emulator) -> None:
    name, _ = mounting_function(emulator)
    with pytest.raises(ClientError, match="must be connected to a VPC"):
        invoke(emulator, name, "look")
