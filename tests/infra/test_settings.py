"""Settings: what deploys by default, and what a mistake is answered with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gaitway.instances.types import INSTANCE_SIZES
from gaitway.libraries.simulators import SIMULATORS
from gaitway.settings import LICENCE, Settings, SettingsError, load_settings
from tests.infra.templates import ROOT

EKS = {"backends": ["batch", "hyperpod-eks"], "eksTeam": "robots", "eksInstanceType": "ml.g6.12xlarge"}
SLURM = {"backends": ["batch", "hyperpod-slurm"]}
MADE_EKS = EKS | {"hyperpodClusters": ["hyperpod-eks"]}
MADE_SLURM = SLURM | {"hyperpodClusters": ["hyperpod-slurm"], "slurmInstanceType": "ml.g6.12xlarge"}
BOTH = (
    EKS
    | MADE_SLURM
    | {
        "backends": ["batch", "hyperpod-eks", "hyperpod-slurm"],
        "hyperpodClusters": ["hyperpod-eks", "hyperpod-slurm"],
    }
)
PLAN = "arn:aws:sagemaker:us-east-1:123456789012:training-plan/robots"
EKS_CLUSTER = "arn:aws:eks:us-east-1:123456789012:cluster/robots"
HYPERPOD_REFUSALS: list[tuple[dict[str, Any], list[str]]] = [
    ({"hyperpodClusters": ["hyperpod-eks"]}, ["hyperpodClusters holds hyperpod-eks, but backends is batch"]),
    ({"hyperpodClusters": ["batch"]}, ["hyperpodClusters holds 'batch'", "'hyperpod-eks' or 'hyperpod-slurm'"]),
    (MADE_SLURM | {"hyperpodClusters": ["hyperpod-slurm"] * 2}, ["holds hyperpod-slurm more than once"]),
    (SLURM | {"hyperpodClusters": ["hyperpod-slurm"]}, ["slurmInstanceType is missing", "name the type"]),
    (SLURM | {"slurmInstanceType": "ml.g6.12xlarge"}, ["slurmInstanceType is 'ml.g6.12xlarge'", "leave it out"]),
    (MADE_SLURM | {"slurmInstanceType": "g6.12xlarge"}, ["slurmInstanceType is 'g6.12xlarge'", "as ml.g6.12xlarge"]),
    (MADE_SLURM | {"trainingPlanArn": "robots"}, ["trainingPlanArn is 'robots'", "the ARN of a training plan"]),
    (
        MADE_SLURM | {"trainingPlanArn": PLAN},
        ["the nodes of hyperpod-slurm are ml.g6.12xlarge", "begin with ml.p only"],
    ),
    (SLURM | {"trainingPlanArn": PLAN}, [f"trainingPlanArn is '{PLAN}'", "holds no cluster for it"]),
    (BOTH | {"trainingPlanArn": PLAN}, [f"trainingPlanArn is '{PLAN}'", "one plan is for the nodes of one"]),
    (EKS | {"eksClusterArn": EKS_CLUSTER}, [f"eksClusterArn is '{EKS_CLUSTER}'", "holds no cluster for it"]),
    (MADE_EKS | {"eksClusterArn": "robots"}, ["eksClusterArn is 'robots'", "the ARN of an EKS cluster"]),
    (MADE_EKS | {"eksClusterArn": EKS_CLUSTER}, ["vpcId or eksSecurityGroupId is missing"]),
    (MADE_EKS | {"eksSecurityGroupId": "sg-0123456789abcdef0"}, ["eksClusterArn is missing", "leave it out"]),
    (MADE_EKS | {"eksPriorityClass": "training"}, ["eksPriorityClass is 'training'", "write training-priority"]),
    (MADE_SLURM | {"lambdaPython": "host"}, ["no SageMaker clusters", "`gaitway local up --with eks`"]),
]
VPC, SUBNET = "vpc-0123456789abcdef0", "subnet-0123456789abcdef0"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Directory of a config.json that accepts the licence."""
    write(tmp_path, acceptNvidiaEula=True)
    return tmp_path


def write(directory: Path, **block: Any) -> None:
    text = json.dumps({"app": {"pipelines": {"useIsaacLabTraining": block}}})
    (directory / "config.json").write_text(text, encoding="utf-8")


def refusal(directory: Path, **context: Any) -> str:
    with pytest.raises(SettingsError) as error:
        load_settings(context, directory)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_everything_but_the_licence_has_a_default_that_deploys(config: Path) -> None:
    assert load_settings({}, config) == Settings(acceptNvidiaEula=True)


def test_the_repositorys_own_settings_wait_for_the_acceptance_of_the_licence() -> None:
    message = refusal(ROOT)
    assert "acceptNvidiaEula" in message
    assert LICENCE in message


def test_isaac_lab_3_alone_needs_no_acceptance_and_the_refusal_says_so() -> None:
    assert "-c simulators=isaaclab-3" in refusal(ROOT)
    settings = load_settings({"simulators": "isaaclab-3"}, ROOT)
    assert not settings.accept_nvidia_eula
    assert settings.built_simulators == ("isaaclab-3",)
    assert LICENCE in refusal(ROOT, simulators="isaaclab-2")


def test_an_image_is_given_for_each_simulator_or_for_some(config: Path) -> None:
    uri = "registry.example/isaac:7"
    one = load_settings({"simulators": "isaaclab-2", "containerImageUri": uri}, config)
    assert (one.image_uri("isaaclab-2"), one.built_simulators) == (uri, ())
    some = load_settings({"containerImageUri": json.dumps({"isaaclab-3": uri})}, config)
    assert (some.image_uri("isaaclab-3"), some.built_simulators) == (uri, ("isaaclab-2",))


def test_nothing_has_to_be_accepted_where_nothing_is_deployed() -> None:
    assert not load_settings({"enabled": "false"}, ROOT).enabled


@pytest.mark.parametrize(
    ("key", "text", "field", "value"),
    [
        ("acceptNvidiaEula", "true", "accept_nvidia_eula", True),
        ("keepWarmInstance", "true", "keep_warm_instance", True),
        ("maxVcpus", "32", "max_vcpus", 32),
        ("vpcId", "vpc-0123456789abcdef0", "vpc_id", "vpc-0123456789abcdef0"),
        ("instanceTypes", "g6e.2xlarge,g5.2xlarge", "instance_types", ("g6e.2xlarge", "g5.2xlarge")),
        ("instanceTypes", "g6e.2xlarge, g5.2xlarge", "instance_types", ("g6e.2xlarge", "g5.2xlarge")),
        ("instanceTypes", '["g6e.2xlarge", "g5.2xlarge"]', "instance_types", ("g6e.2xlarge", "g5.2xlarge")),
        ("assetBuckets", "", "asset_buckets", ()),
        ("useSpot", "true", "use_spot", True),
        ("assetBuckets", "vams-a,vams-b", "asset_buckets", ("vams-a", "vams-b")),
        ("useEfa", "false", "use_efa", False),
        ("tags", '{"team": "robots"}', "tags", {"team": "robots"}),
        ("availabilityZones", "us-east-1d,us-east-1b", "availability_zones", ("us-east-1d", "us-east-1b")),
        ("instancePrices", '{"g6.2xlarge": 0.5}', "instance_prices", {"g6.2xlarge": 0.5}),
        (
            *("permissionsBoundary", "arn:aws:iam::123456789012:policy/bound"),
            *("permissions_boundary", "arn:aws:iam::123456789012:policy/bound"),
        ),
    ],
)
def test_a_setting_on_the_command_line_wins_over_the_file(
    config: Path, key: str, text: str, field: str, value: object
) -> None:
    assert getattr(load_settings({key: text}, config), field) == value


def test_another_file_can_be_named() -> None:
    assert load_settings({"configFile": "gaitway/local/config.json"}, ROOT).lambda_python == "host"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"maxVcpus": 4}, ["maxVcpus", "4", "greater than or equal to 8"]),
        ({"keepWarmInstance": "perhaps"}, ["keepWarmInstance", "'perhaps'", "valid boolean"]),
        ({"vpcId": "my-vpc"}, ["vpcId is 'my-vpc'", "must be the id of a VPC, as vpc-0123456789abcdef0"]),
        ({"subnetIds": ["10.0.0.0/24"], "vpcId": VPC}, ["subnetIds holds '10.0.0.0/24'", "must be the id of a subnet"]),
        ({"subnetIds": [SUBNET]}, [f"subnetIds is {SUBNET}", "vpcId is missing", "leave subnetIds out"]),
        ({"subnetIds": [SUBNET, SUBNET], "vpcId": VPC}, [f"subnetIds holds {SUBNET} more than once"]),
        (
            {"assetBuckets": ["vams-a"], "assetBucketKeys": ["alias/vams"]},
            ["assetBucketKeys holds 'alias/vams'", "the ARN of a key, not of an alias"],
        ),
        (
            {"assetBucketKeys": ["arn:aws:kms:us-east-1:123456789012:key/a1"]},
            ["assetBucketKeys is arn:aws:kms", "assetBuckets is empty"],
        ),
        *HYPERPOD_REFUSALS,
        ({"simulators": ["isaaclab"]}, ["simulators", "'isaaclab'", *map(repr, SIMULATORS)]),
        ({"simulators": ["embedded"]}, ["simulators is embedded", "containerImageUri has no image of embedded"]),
        ({"simulators": ["isaaclab-2", "embedded"]}, ["simulators is isaaclab-2, embedded", "name one of them"]),
        ({"simulators": ["isaaclab-3"] * 2}, ["simulators holds isaaclab-3 more than once"]),
        ({"simulators": []}, ["simulators", "[]", "at least 1"]),
        (
            {"containerImageUri": "registry.example/isaac:7"},
            ["simulators is isaaclab-3, isaaclab-2", '{"isaaclab-3": "registry.example/isaac:7"}'],
        ),
        (
            {"containerImageUri": {"embedded": "registry.example/isaac:7"}},
            ["containerImageUri has an image of embedded", "simulators is isaaclab-3, isaaclab-2"],
        ),
        ({"containerImageUri": {"isaac": "registry.example/isaac:7"}}, ["containerImageUri", "'isaac'", "isaaclab-3"]),
        ({"containerImageUri": '{"isaaclab-3"'}, ["containerImageUri", "JSON object"]),
        ({"tags": {"aws:team": "robots"}}, ["tags", "'aws:team'", "not beginning with aws:"]),
        ({"tags": {"team": "R&D"}}, ["tags", "'R&D'", "a value of up to 255 of letters, digits, spaces"]),
        ({"tags": {"team": "r" * 256}}, ["tags", "a value of up to 255 of letters"]),
        ({"tags": '{"team": "a", "team": "b"}'}, ["tags", "the key 'team' twice", "keep one"]),
        ({"tags": {"Team": "a", "team": "b"}}, ["tags holds 'Team' and 'team'", "leave one out"]),
        ({"tags": "team=robots"}, ["tags is 'team=robots'", "must be a JSON object"]),
        ({"availabilityZones": ["us-east-1"]}, ["availabilityZones holds 'us-east-1'", "as us-east-1b"]),
        ({"availabilityZones": ["us-east-1b"], "vpcId": VPC}, ["availabilityZones is us-east-1b", VPC, "subnetIds"]),
        ({"availabilityZones": ["us-east-1b"] * 2}, ["availabilityZones holds us-east-1b more than once"]),
        ({"instanceTypes": ["m5.large"]}, ["instanceTypes", "'m5.large'", "g6.2xlarge"]),
        ({"instanceTypes": []}, ["instanceTypes", "[]", "at least 1"]),
        ({"instanceTypes": '["g6.2xlarge"'}, ["instanceTypes", "must be a JSON list"]),
        ({"instancePrices": '{"g6.2xlarge": 1e999}'}, ["instancePrices", "inf", "finite number"]),
        ({"instancePrices": {"g6.2xlagre": 0.5}}, ["instancePrices", "'g6.2xlagre'", "g6.2xlarge", "local"]),
        ({"instancePrices": {"g6.2xlarge": -1}}, ["instancePrices", "-1", "greater than or equal to 0"]),
        ({"autoRegisterWithVAMS": True}, ["autoRegisterWithVAMS is True", "vamsImportFunctionName is missing"]),
        ({"vamsImportFunctionName": "vams-f"}, ["vamsImportFunctionName", "'vams-f'", "autoRegisterWithVAMS is False"]),
        ({"assetBuckets": ["arn:aws:s3:::vams-a"]}, ["assetBuckets holds 'arn:aws:s3:::vams-a'", "name of a bucket"]),
        ({"permissionsBoundary": "bound"}, ["permissionsBoundary", "'bound'", "arn:aws"]),
        (
            {"containerImageUri": "registry.example/isaac"},
            ["containerImageUri", "registry.example/isaac", "tag or digest"],
        ),
        ({"lambdaPython": "2.7"}, ["lambdaPython", "'2.7'", "'3.14' or 'host'"]),
        # 32 GiB is what a g6.2xlarge is sold with, and more than it has free.
        ({"jobMemoryMib": 32768}, ["jobMemoryMib", "32768", "g6.2xlarge", "29491"]),
        ({"jobVcpus": 16}, ["jobVcpus", "16", "g6.2xlarge", "8"]),
        ({"jobGpus": 4}, ["jobGpus", "4", "less than or equal to 1"]),
        ({"keepWarmInstances": True}, ["useIsaacLabTraining.keepWarmInstances", "did you mean keepWarmInstance?"]),
        ({"colour": "red"}, ["useIsaacLabTraining.colour", "'red'", "acceptNvidiaEula", "maxVcpus"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    tmp_path: Path, block: dict[str, Any], words: list[str]
) -> None:
    write(tmp_path, acceptNvidiaEula=True, **block)
    message = refusal(tmp_path)
    assert [word for word in words if word not in message] == []
    # People do not read regular expressions, nor whose error it was.
    assert not set("^$\\") & set(message.replace(str(tmp_path), ""))
    assert "alue error" not in message


def test_a_file_may_begin_as_editors_write_it(config: Path) -> None:
    path = config / "config.json"
    path.write_text("\ufeff" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_settings({}, config).accept_nvidia_eula


def test_a_misspelt_setting_on_the_command_line_is_no_silence(config: Path) -> None:
    assert "meant acceptNvidiaEula?" in refusal(config, acceptNvidaEula="true")


def test_the_cdks_own_context_is_left_alone(config: Path) -> None:
    context = {"aws:cdk:enable-path-metadata": True, "@aws-cdk/aws-iam:minimizePolicies": True, "cli-telemetry": True}
    assert load_settings(context, config) == load_settings({}, config)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["config.json", "not JSON"]),
        ("[" * 100_000, ["config.json", "not JSON", "nested too deeply"]),
        (
            '{"app": {"pipelines": {"useIsaacLabTraining": {"useSpot": true, "useSpot": false}}}}',
            ["config.json", "the key 'useSpot' twice", "keep one"],
        ),
        ("{}", ["config.json", "'app'"]),
        ('{"app": {"pipeline": {}}}', ["app", "'pipelines'"]),
        ('{"app": {"pipelines": {"useIsaacLabTraining": true}}}', ["app.pipelines.useIsaacLabTraining", "True"]),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    message = refusal(tmp_path)
    assert [word for word in words if word not in message] == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.json cannot be read" in refusal(tmp_path, configFile="nowhere.json")


def test_a_node_with_more_processes_gets_as_many_gpus_and_as_much_more_of_everything_else() -> None:
    sizes = Settings().job_sizes
    # No instance with more than four GPUs is offered by default.
    assert list(sizes) == [1, 2, 3, 4]
    assert sizes[1][:3] == (1, 8, 28_672)
    assert sizes[4][:3] == (4, 32, 114_688)


@pytest.mark.parametrize("name", INSTANCE_SIZES)
def test_every_size_that_is_offered_fits_an_instance_with_room_for_the_system(name: str) -> None:
    offered = INSTANCE_SIZES[name]
    for processes, size in Settings(instanceTypes=(name,)).job_sizes.items():
        assert size.gpus == processes <= offered.gpus
        assert size.vcpus <= offered.vcpus
        assert size.memory_mib <= offered.memory_gib * 1024 - 2048


@pytest.mark.parametrize(
    ("types", "max_vcpus", "processes", "max_nodes"),
    [
        (("g6.2xlarge",), 96, 1, 12),
        (("g6.4xlarge", "g6.2xlarge"), 96, 1, 12),
        # A node has an instance to itself, however much of it stays unused.
        (("g6.12xlarge",), 96, 2, 2),
        (("g6.12xlarge",), 100, 1, 2),
        # Batch goes beyond its limit by one instance.
        (("g6.48xlarge",), 96, 8, 1),
    ],
)
def test_as_many_nodes_may_be_asked_for_as_batch_may_start_instances(
    types: tuple[str, ...], max_vcpus: int, processes: int, max_nodes: int
) -> None:
    settings = Settings(instanceTypes=types, maxVcpus=max_vcpus)
    assert settings.job_sizes[processes].max_nodes == max_nodes


def test_where_there_are_no_gpus_every_job_is_of_the_same_size() -> None:
    sizes = Settings(jobGpus=0, jobVcpus=2, jobMemoryMib=4096, maxVcpus=8).job_sizes
    assert list(sizes) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {size[:4] for size in sizes.values()} == {(0, 2, 4096, 4)}
    # They wait where they would wait with GPUs.
    assert [size.instance_gpus for size in sizes.values()] == [1, 4, 4, 4, 4, 4, 4, 4]


def test_a_job_waits_for_the_instances_with_the_fewest_gpus_that_are_enough() -> None:
    settings = Settings(instanceTypes=("g6.2xlarge", "g6.12xlarge", "g6.48xlarge"))
    waits_for = {processes: size.instance_gpus for processes, size in settings.job_sizes.items()}
    assert waits_for == {1: 1, 2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 8: 8}
    assert settings.gpu_counts == (1, 4, 8)
    # Two jobs of 16 vCPUs fit a g6.8xlarge, but not their GPUs.
    assert Settings(instanceTypes=("g6.8xlarge", "g6.12xlarge"), jobVcpus=16).job_sizes[2].instance_gpus == 4
    # Nothing waits for what has no more room than others.
    assert Settings(instanceTypes=("g6.16xlarge", "g6.12xlarge"), jobVcpus=48).gpu_counts == (1,)


def test_several_deployments_fit_what_an_account_may_have() -> None:
    """50 queues and 50 compute environments: docs.aws.amazon.com/batch/latest/userguide/service_limits.html."""
    settings = Settings(instanceTypes=tuple(INSTANCE_SIZES), useSpot=True, maxVcpus=384)
    queues = 2 * len(settings.gpu_counts)
    environments = 3 * len(settings.gpu_counts)
    assert (queues, environments) == (6, 9)
    assert 50 // environments >= 5
