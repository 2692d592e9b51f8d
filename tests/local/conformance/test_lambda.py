"""Lambda functions of the embedded AWS: what ours rely on."""

import io
import json
import sys
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conformance.workflow import ROLE_ARN, create_any_role, until
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


IMPORTING_HANDLER = """
import importlib.util, os

def handler(event, context):
    return {
        "found": [name for name in event["names"] if importlib.util.find_spec(name)],
        "variables": sorted(os.environ),
    }
"""


def test_a_function_finds_the_sdk_and_nothing_else_that_it_does_not_bring(emulator: Emulator) -> None:
    """docs.aws.amazon.com/lambda/latest/dg/python-package.html: the runtime brings boto3 and what that needs."""
    names = ["boto3", "botocore", "json", "pydantic", "numpy", "gaitway", "lambdas", "ministack", "yaml"]
    create_any_role(emulator.client("iam"))
    name = f"function-{uuid.uuid4().hex[:8]}"
    emulator.client("lambda").create_function(
        FunctionName=name,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role=ROLE_ARN,
        Handler="index.handler",
        Code={"ZipFile": archive(**{"index.py": IMPORTING_HANDLER})},
    )
    response = emulator.client("lambda").invoke(FunctionName=name, Payload=json.dumps({"names": names}))
    answer = json.load(response["Payload"])
    assert answer["found"] == ["boto3", "botocore", "json"]
    # docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html: nothing from the shell that started the emulator.
    assert not {"SHELL", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "AWS_PROFILE"} & set(answer["variables"])


MOUNTING_HANDLER = """
import os
from pathlib import Path

def handler(event, context):
    root = Path(os.environ["ROOT"])
    return {"found": sorted(path.name for path in root.iterdir()), "left alone": os.environ["OTHER"]}
"""


def mounting_function(emulator: Emulator, **configuration: Any) -> tuple[str, str]:
    """Create a function that mounts an access point at /mnt/runs; return its name and the file system's id.

    The file system has a mount target in the first zone.
    """
    efs = emulator.client("efs")
    file_system = efs.create_file_system(CreationToken=uuid.uuid4().hex)["FileSystemId"]
    efs.create_mount_target(FileSystemId=file_system, SubnetId=subnet_in(emulator, "us-east-1a"))
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
    vpc = {"SubnetIds": [subnet_in(emulator, "us-east-1a")], "SecurityGroupIds": ["sg-1"]}
    name, file_system = mounting_function(emulator, VpcConfig=vpc)
    directory = emulator.state_directory / "efs" / file_system / "gaitway" / "one"
    directory.mkdir(parents=True)
    (directory / "model_0.pt").touch()
    answer = invoke(emulator, name, "look")
    assert answer == {"found": ["model_0.pt"], "left alone": "/mnt/runs-of-others"}


def test_a_function_has_a_mount_target_in_each_of_its_zones(emulator: Emulator) -> None:
    """docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem-efs.html"""
    subnets = [subnet_in(emulator, zone) for zone in ("us-east-1a", "us-east-1b")]
    name, _ = mounting_function(emulator, VpcConfig={"SubnetIds": subnets, "SecurityGroupIds": ["sg-1"]})
    with pytest.raises(ClientError, match=r"availability zones the function will execute in: us-east-1b"):
        invoke(emulator, name, "look")


def subnet_in(emulator: Emulator, zone: str) -> str:
    """Find the default VPC's subnet in a zone."""
    filters = [{"Name": "availability-zone", "Values": [zone]}, {"Name": "default-for-az", "Values": ["true"]}]
    (subnet,) = emulator.client("ec2").describe_subnets(Filters=filters)["Subnets"]
    return str(subnet["SubnetId"])


def test_a_function_outside_a_vpc_mounts_nothing(emulator: Emulator) -> None:
    name, _ = mounting_function(emulator)
    with pytest.raises(ClientError, match="must be connected to a VPC"):
        invoke(emulator, name, "look")


WAITING_HANDLER = """
import os, time
from pathlib import Path

directory = Path(os.environ["DIRECTORY"])

def wait(moment):
    (directory / moment).touch()
    while os.environ["WHILE"] == moment and not (directory / "go on").exists():
        time.sleep(0.01)

wait("starting")

def handler(event, context):
    wait("answering")
    return {"code": "first"}
"""


@pytest.mark.parametrize("moment", ["starting", "answering"])
def test_a_call_goes_on_with_the_code_it_began_with_while_the_function_is_updated(
    emulator: Emulator, tmp_path: Path, moment: str
) -> None:
    """docs.aws.amazon.com/lambda/latest/dg/functions-states.html"""
    create_any_role(emulator.client("iam"))
    client = emulator.client("lambda")
    name = f"function-{uuid.uuid4().hex[:8]}"
    client.create_function(
        FunctionName=name,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role=ROLE_ARN,
        Handler="index.handler",
        Timeout=60,
        Code={"ZipFile": archive(**{"index.py": WAITING_HANDLER})},
        Environment={"Variables": {"DIRECTORY": str(tmp_path), "WHILE": moment}},
    )
    with ThreadPoolExecutor() as pool:
        call = pool.submit(invoke, emulator, name, "wait")
        until((tmp_path / moment).exists)
        try:
            second = "def handler(event, context):\n    return {'code': 'second'}\n"
            client.update_function_code(FunctionName=name, ZipFile=archive(**{"index.py": second}))
            assert invoke(emulator, name, "look") == {"code": "second"}
        finally:
            (tmp_path / "go on").touch()
        assert call.result() == {"code": "first"}
