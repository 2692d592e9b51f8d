"""Settings that change what is deployed; `python -m tests.infra.deployments <directory>` synthesises them all.

`make lint` does that, for cfn-lint. The checks of cdk-nag belong to every synthesis.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaitway.settings import Settings, load_settings
from tests.infra.templates import ROOT

if TYPE_CHECKING:
    import aws_cdk as cdk

ADDRESS = "robots@example.com"
BOUNDARY = "arn:aws:iam::123456789012:policy/bound"
VAMS_IMPORT = "vams-core-prod-us-east-1-importGlobalPipelineWorkflow7C1D-x9Qk2"
VAMS_BUCKETS = ("vams-assets-1", "vams-assets-2")
EXISTING_VPC = "vpc-0123456789abcdef0"
ENVIRONMENT = {"CDK_DEFAULT_ACCOUNT": "111122223333", "CDK_DEFAULT_REGION": "eu-west-1"}
"""Where an existing VPC is looked up."""

SETTINGS: dict[str, dict[str, str]] = {
    "on-demand": {},
    "spot": {"useSpot": "true"},
    "warm": {"keepWarmInstance": "true"},
    "existing-vpc": {"vpcId": EXISTING_VPC},
    "image-given": {"containerImageUri": "210987654321.dkr.ecr.eu-west-1.amazonaws.com/robots/isaac:7"},
    "several-nodes": {"instanceTypes": "g6.8xlarge,g6.12xlarge", "maxVcpus": "384"},
    "bounded": {"permissionsBoundary": BOUNDARY, "alarmEmail": ADDRESS},
    "vams": {
        "autoRegisterWithVAMS": "true",
        "vamsImportFunctionName": VAMS_IMPORT,
        "assetBuckets": ",".join(VAMS_BUCKETS),
    },
}


def settings_of(name: str) -> Settings:
    """Read one of them."""
    return load_settings({"acceptNvidiaEula": "true"} | SETTINGS[name], ROOT)


def new_app(directory: Path) -> cdk.App:
    """Make an app with the context that the CDK's command line would pass, and what it would look up."""
    import aws_cdk as cdk

    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    context["aws:cdk:enable-path-metadata"] = True
    account, region = ENVIRONMENT.values()
    lookup = f"vpc-provider:account={account}:filter.vpc-id={EXISTING_VPC}:region={region}:returnAsymmetricSubnets=true"
    context[lookup] = _existing_vpc()
    return cdk.App(context=context, outdir=str(directory), analytics_reporting=False)


def _existing_vpc() -> dict[str, Any]:
    """Describe a VPC of two zones without isolated subnets, as the lookup does."""

    def group(name: str, number: int) -> dict[str, Any]:
        subnets = [
            {
                "subnetId": f"subnet-0123456789abcde{number}{zone}",
                "cidr": f"10.0.{16 * number + index}.0/24",
                "availabilityZone": f"eu-west-1{zone}",
                "routeTableId": f"rtb-0123456789abcde{number}{zone}",
            }
            for index, zone in enumerate("ab")
        ]
        return {"name": name, "type": name, "subnets": subnets}

    return {
        "vpcId": EXISTING_VPC,
        "vpcCidrBlock": "10.0.0.0/16",
        "ownerAccountId": ENVIRONMENT["CDK_DEFAULT_ACCOUNT"],
        "availabilityZones": [],
        "subnetGroups": [group("Public", 1), group("Private", 2)],
    }


def main(directory: Path) -> None:
    """Synthesise what each of the settings deploys."""
    from stacks.assembly import assemble

    for name in SETTINGS:
        app = new_app(directory / name)
        assemble(app, settings_of(name))
        app.synth()


if __name__ == "__main__":
    os.environ |= ENVIRONMENT
    main(Path(sys.argv[1]))
