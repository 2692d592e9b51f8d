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
VAMS_KEY = "arn:aws:kms:eu-west-1:111122223333:key/0b0e5f2c-1d2e-4f3a-9b7c-123456789abc"
VAMS_BUCKETS = ("vams-assets-1", "vams-assets-2")
TAGS = {"cost-centre": "R+D: robots", "Owner": "robots@example.com"}
NGC_SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:robots/ngc-AbCdEf"
TRAINING_PLAN = "arn:aws:sagemaker:eu-west-1:123456789012:training-plan/robots"
EKS_CLUSTER = "arn:aws:eks:eu-west-1:111122223333:cluster/robots"
EXISTING_VPC = "vpc-0123456789abcdef0"
ENVIRONMENT = {"CDK_DEFAULT_ACCOUNT": "111122223333", "CDK_DEFAULT_REGION": "eu-west-1"}
"""Where an existing VPC is looked up."""

SETTINGS: dict[str, dict[str, str]] = {
    "on-demand": {},
    "named": {"deploymentName": "legs-dev"},
    "spot": {"useSpot": "true"},
    "warm": {"keepWarmInstance": "true"},
    "existing-vpc": {"vpcId": EXISTING_VPC},
    "subnets": {"vpcId": EXISTING_VPC, "subnetIds": "subnet-0123456789abcdb01"},
    "zones": {"availabilityZones": "eu-west-1c,eu-west-1a"},
    "image-given": {
        "simulators": "isaaclab-2",
        "containerImageUri": "210987654321.dkr.ecr.eu-west-1.amazonaws.com/robots/isaac:7",
    },
    "one-image-given": {
        "containerImageUri": '{"isaaclab-2": "210987654321.dkr.ecr.eu-west-1.amazonaws.com/robots/isaac:7"}'
    },
    "isaaclab-3-alone": {"simulators": "isaaclab-3", "acceptNvidiaEula": "false"},
    "ngc-account": {"ngcSecretArn": NGC_SECRET},
    "several-nodes": {"instanceTypes": "g6.8xlarge,g6.12xlarge", "maxVcpus": "384"},
    "no-efa": {"useEfa": "false", "instancePrices": '{"g6.2xlarge": 0.8}'},
    "jobs": {
        "jobVcpus": "4",
        "jobMemoryMib": "14000",
        "heartbeatSeconds": "120",
        "tracing": "false",
        "allowLiveView": "true",
    },
    "bounded": {"permissionsBoundary": BOUNDARY, "alarmEmail": ADDRESS},
    "slurm": {"backends": "batch,hyperpod-slurm", "clusterNodes": "4"},
    "prometheus": {"backends": "batch,hyperpod-slurm", "prometheus": "true"},
    "scraped": {
        "backends": "batch,hyperpod-eks",
        "hyperpodClusters": "hyperpod-eks",
        "eksTeam": "robots",
        "eksInstanceType": "ml.g6.12xlarge",
        "prometheus": "true",
    },
    "grafana": {
        "backends": "batch,hyperpod-slurm",
        "prometheus": "true",
        "grafana": "true",
    },
    "tagged": {"tags": json.dumps(TAGS)},
    "training-jobs": {
        "backends": "batch,sagemaker",
        "sagemakerInstanceTypes": "ml.g6e.2xlarge,ml.g6e.48xlarge",
        "sagemakerMaxInstances": "8",
        "sagemakerWarmSeconds": "600",
    },
    "training-jobs-without-efs": {"backends": "batch,sagemaker", "sagemakerStorage": "checkpoints", "useSpot": "true"},
    "eks": {
        "backends": "batch,hyperpod-eks",
        "clusterNodes": "4",
        "eksTeam": "robots",
        "eksInstanceType": "ml.g6.12xlarge",
        "eksPriorityClass": "training",
        "eksHugepagesMib": "5120",
    },
    "slurm-cluster": {
        "backends": "batch,hyperpod-slurm",
        "hyperpodClusters": "hyperpod-slurm",
        "slurmInstanceType": "ml.p5.4xlarge",
        "clusterNodes": "4",
        "trainingPlanArn": TRAINING_PLAN,
        "tags": json.dumps(TAGS),
        "permissionsBoundary": BOUNDARY,
    },
    "both-clusters": {
        "backends": "batch,hyperpod-slurm,hyperpod-eks",
        "hyperpodClusters": "hyperpod-slurm,hyperpod-eks",
        "slurmInstanceType": "ml.c5.xlarge",
        "eksTeam": "robots",
        "eksInstanceType": "ml.g6.12xlarge",
        "eksPriorityClass": "training-priority",
        "tags": json.dumps(TAGS),
    },
    "existing-eks": {
        "vpcId": EXISTING_VPC,
        "backends": "batch,hyperpod-eks",
        "hyperpodClusters": "hyperpod-eks",
        "eksClusterArn": EKS_CLUSTER,
        "eksSecurityGroupId": "sg-0123456789abcdef0",
        "eksTeam": "robots",
        "eksInstanceType": "ml.g5.12xlarge",
    },
    "vams": {
        "autoRegisterWithVAMS": "true",
        "vamsImportFunctionName": VAMS_IMPORT,
        "assetBuckets": ",".join(VAMS_BUCKETS),
        "assetBucketKeys": VAMS_KEY,
    },
}


def settings_of(name: str) -> Settings:
    """Read one of them."""
    return load_settings({"acceptNvidiaEula": "true"} | SETTINGS[name], ROOT)


def new_app(directory: Path, vpc: dict[str, Any] | None = None) -> cdk.App:
    """Make an app with the context that the CDK's command line would pass, and what it would look up.

    Args:
        directory: Where to synthesise to.
        vpc: What is known of the existing VPC, by `existing_vpc`; without, one of two zones, with public and private
            subnets.
    """
    import aws_cdk as cdk

    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    context["aws:cdk:enable-path-metadata"] = True
    context |= existing_vpc() if vpc is None else vpc
    return cdk.App(context=context, outdir=str(directory), analytics_reporting=False)


def existing_vpc(**subnets: str) -> dict[str, Any]:
    """Describe the existing VPC as the CDK's lookup does, as context for an app.

    Args:
        subnets: Zones of its subnets by their kind, a letter for each: `private="aab"` are two subnets in the first
            zone and one in the second, whose ids are of `subnet_id`. Without any, public and private ones in two zones.
    """
    kinds = subnets or {"public": "ab", "private": "ab"}
    account, region = ENVIRONMENT.values()
    lookup = f"vpc-provider:account={account}:filter.vpc-id={EXISTING_VPC}:region={region}:returnAsymmetricSubnets=true"
    groups = [
        {
            "name": kind.title(),
            "type": kind.title(),
            "subnets": [
                {
                    "subnetId": subnet_id(kind, number),
                    "cidr": f"10.0.{16 * list(_KINDS).index(kind) + number}.0/24",
                    "availabilityZone": f"{region}{zone}",
                    "routeTableId": "rtb-0123456789abcdef0",
                }
                for number, zone in enumerate(zones)
            ],
        }
        for kind, zones in kinds.items()
        if zones
    ]
    vpc = {
        "vpcId": EXISTING_VPC,
        "vpcCidrBlock": "10.0.0.0/16",
        "ownerAccountId": account,
        "availabilityZones": [],
        "subnetGroups": groups,
    }
    return {lookup: vpc}


_KINDS = {"public": "a", "private": "b", "isolated": "c"}


def subnet_id(kind: str, number: int) -> str:
    """Name a subnet of the existing VPC: the first private one has the number 0."""
    return f"subnet-0123456789abcd{_KINDS[kind]}{number:02x}"


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
