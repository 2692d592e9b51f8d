"""An existing VPC, looked up by the real CDK command line in the embedded AWS."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gaitway.cli.account.instances import planned_instances
from gaitway.installation import REPOSITORY_ROOT
from gaitway.local.launcher import client_environment
from gaitway.settings import Settings
from tests.local.emulator import Emulator

pytestmark = pytest.mark.slow

_CDK = REPOSITORY_ROOT / "node_modules" / ".bin" / "cdk"


class Vpc:
    """A VPC with subnets of every kind in the embedded AWS."""

    def __init__(self, ec2: Any) -> None:
        self._ec2 = ec2
        self.vpc_id = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self._count = 0

    def subnet(self, zone: str, *, tagged: str | None = None, **way_out: str) -> str:
        """Make a subnet, with a route table whose default route is the way out."""
        self._count += 1
        block, zone = f"10.9.{self._count}.0/24", f"us-east-1{zone}"
        made = self._ec2.create_subnet(VpcId=self.vpc_id, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        if tagged:
            self._ec2.create_tags(Resources=[made], Tags=[{"Key": "aws-cdk:subnet-type", "Value": tagged}])
        if way_out:
            table = self._ec2.create_route_table(VpcId=self.vpc_id)["RouteTable"]["RouteTableId"]
            self._ec2.associate_route_table(SubnetId=made, RouteTableId=table)
            self._ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **way_out)
        return str(made)


def synthesise(emulator: Emulator, directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the CDK in a directory of its own, where it keeps what it looks up."""
    context = [word for name, value in settings.items() for word in ("--context", f"{name}={value}")]
    app = shlex.join([sys.executable, str(REPOSITORY_ROOT / "app.py")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [str(_CDK), "synth", "--quiet", "--app", app, "--output", str(directory / "out"), *context],
        cwd=directory,
        env=environment | client_environment(emulator.endpoint_url),
        capture_output=True,
        text=True,
    )


def test_the_cdk_and_doctor_find_the_same_subnets(emulator: Emulator, tmp_path: Path) -> None:
    ec2: Any = emulator.client("ec2")
    vpc = Vpc(ec2)
    internet = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc.vpc_id, InternetGatewayId=internet)
    public = vpc.subnet("a", GatewayId=internet)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]["NatGatewayId"]
    isolated = vpc.subnet("b")

    settings = {"acceptNvidiaEula": "true", "vpcId": vpc.vpc_id}
    ended = synthesise(emulator, tmp_path, **settings)
    assert ended.returncode != 0
    assert f"gaitway: vpcId is '{vpc.vpc_id}', which has 1 public subnet, 1 isolated subnet" in ended.stderr
    assert "Traceback" not in ended.stderr

    private = [vpc.subnet(zone, NatGatewayId=nat) for zone in "bbc"] + [vpc.subnet("d", tagged="Private")]
    # What `npx cdk context --clear` does.
    (tmp_path / "cdk.context.json").unlink()
    named = (private[3], private[1])
    ended = synthesise(emulator, tmp_path, **settings, subnetIds=",".join(named))
    assert ended.returncode == 0, ended.stderr
    storage = json.loads((tmp_path / "out" / "GaitwayStorage.template.json").read_text(encoding="utf-8"))
    mount_targets = [
        resource["Properties"]["SubnetId"]
        for resource in storage["Resources"].values()
        if resource["Type"] == "AWS::EFS::MountTarget"
    ]
    assert sorted(mount_targets) == sorted([private[3], isolated])

    [looked_up] = json.loads((tmp_path / "cdk.context.json").read_text(encoding="utf-8")).values()
    groups = {group["type"]: {subnet["subnetId"] for subnet in group["subnets"]} for group in looked_up["subnetGroups"]}
    assert groups == {"Public": {public}, "Private": set(private), "Isolated": {isolated}}
    planned = planned_instances(Settings(vpcId=vpc.vpc_id), ec2)
    assert {zone for group in planned.groups for zone in group.zones} == {f"us-east-1{zone}" for zone in "bcd"}
