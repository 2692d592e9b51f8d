"""What an account has to have for a deployment; stand-ins answer for EC2, IAM and KMS."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import boto3
import pytest
from botocore.stub import Stubber

from gaitway.cli.account.disk_key import look_at_disk_key
from gaitway.cli.account.instances import InstanceGroup, Instances, deployed_instances, planned_instances
from gaitway.cli.account.service_roles import look_at_service_roles
from gaitway.cli.account.vpc import look_at_default_group, look_at_dns
from gaitway.cli.account.zones import look_at_zones
from gaitway.settings import Settings, SettingsError

VPC = "vpc-0123456789abcdef0"
OPTIONS = " --profile robots"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0b0e5f2c"


def role_of(service: str) -> str:
    """The ARN of a service-linked role."""
    return f"arn:aws:iam::123456789012:role/aws-service-role/{service}.amazonaws.com/AWSServiceRoleFor{service}"


AUTO_SCALING = role_of("autoscaling")


class Service:
    """A client with a stand-in that answers what is expected."""

    def __init__(self, name: str) -> None:
        session: Any = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name="us-east-1")
        self.client = session.client(name)
        self.stubber = Stubber(self.client)

    def answers(self, operation: str, answer: dict[str, Any], **request: Any) -> None:
        self.stubber.add_response(operation, answer, request or None)


@pytest.fixture
def services() -> Iterator[dict[str, Service]]:
    made = {name: Service(name) for name in ("ec2", "iam", "kms")}
    with ExitStack() as stack:
        for service in made.values():
            stack.enter_context(service.stubber)
        yield made
        for service in made.values():
            service.stubber.assert_no_pending_responses()


@pytest.fixture
def ec2(services: dict[str, Service]) -> Service:
    return services["ec2"]


@pytest.fixture
def iam(services: dict[str, Service]) -> Service:
    return services["iam"]


@pytest.fixture
def kms(services: dict[str, Service]) -> Service:
    return services["kms"]


def instances(
    *groups: InstanceGroup, vpc_id: str | None = VPC, use_spot: bool = False, use_efa: bool = False
) -> Instances:
    return Instances(groups, vpc_id, use_spot, use_efa)


def has(iam: Service, *services: str) -> None:
    """The account has the service-linked roles of these services."""
    roles = [
        {
            "Path": f"/aws-service-role/{service}.amazonaws.com/",
            "RoleName": f"AWSServiceRoleFor{service}",
            "RoleId": "AROA0123456789012345",
            "Arn": role_of(service),
            "CreateDate": "2026-01-01T00:00:00Z",
        }
        for service in services
    ]
    iam.answers("list_roles", {"Roles": roles, "IsTruncated": False}, PathPrefix="/aws-service-role/")


class TestServiceLinkedRoles:
    def test_those_that_are_missing_come_with_the_command_that_makes_each(self, iam: Service) -> None:
        has(iam, "batch", "autoscaling", "elasticfilesystem")

        [finding] = look_at_service_roles(iam.client, instances(), OPTIONS)

        assert finding.state == "problem"
        assert finding.detail.startswith("AWSServiceRoleForECS does not exist")
        command = "`aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com --profile robots`"
        assert command in finding.detail

    def test_spot_instances_need_two_more(self, iam: Service) -> None:
        has(iam, "batch", "ecs", "autoscaling")

        found = list(look_at_service_roles(iam.client, instances(use_spot=True), ""))

        services = [finding.detail.partition("--aws-service-name ")[2].rstrip("`") for finding in found]
        assert services == ["spot.amazonaws.com", "spotfleet.amazonaws.com"]

    def test_where_all_are_there_they_are_named(self, iam: Service) -> None:
        has(iam, "batch", "ecs", "autoscaling")
        [finding] = look_at_service_roles(iam.client, instances(), "")
        assert finding.state == "ok"


class TestZones:
    ONE = InstanceGroup(("g5.2xlarge", "g6.2xlarge"), ("us-east-1a", "us-east-1b"), is_multi_node=False)
    NODES = InstanceGroup(("g6.12xlarge",), ("us-east-1a",), is_multi_node=True)

    def offered(self, ec2: Service, types: str, **zones: str) -> None:
        offerings = [
            {"InstanceType": f"{name}xlarge", "LocationType": "availability-zone", "Location": f"us-east-1{zone}"}
            for zone, names in zones.items()
            for name in names.split()
        ]
        ec2.answers(
            "describe_instance_type_offerings",
            {"InstanceTypeOfferings": offerings},
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": [f"{name}xlarge" for name in types.split()]}],
        )

    def test_what_is_offered_everywhere_is_fine(self, ec2: Service) -> None:
        self.offered(ec2, "g5.2 g6.12 g6.2", a="g5.2 g6.2 g6.12", b="g5.2 g6.2")
        [finding] = look_at_zones(ec2.client, instances(self.ONE, self.NODES))
        assert (finding.state, finding.detail) == ("ok", "us-east-1a, us-east-1b offer every one of instanceTypes")

    def test_a_type_that_a_zone_lacks_is_named_with_the_zones_that_have_all(self, ec2: Service) -> None:
        self.offered(ec2, "g5.2 g6.2", a="g5.2", b="g5.2 g6.2", d="g5.2 g6.2")
        [finding] = look_at_zones(ec2.client, instances(self.ONE, vpc_id=None))
        assert finding.state == "note"
        assert "instances with 1 GPU are in us-east-1a and us-east-1b" in finding.detail
        assert "us-east-1a has no g6.2xlarge" in finding.detail
        assert finding.detail.endswith(
            "choose other zones with availabilityZones before the first deployment; us-east-1b, us-east-1d offer all"
        )

    def test_nodes_of_one_job_never_start_in_a_zone_without_their_types(self, ec2: Service) -> None:
        self.offered(ec2, "g6.12", b="g6.12")
        [finding] = look_at_zones(ec2.client, instances(self.NODES))
        assert finding.state == "problem"
        assert "nodes of one job, with 4 GPUs each, are in us-east-1a, where EC2 offers none of" in finding.detail
        assert (
            "choose subnets of other zones with subnetIds (the first decides); us-east-1b offers all" in finding.detail
        )

    def test_what_the_region_lacks_is_said_once(self, ec2: Service) -> None:
        self.offered(ec2, "g5.2 g6.12 g6.2", a="g5.2 g6.2", b="g5.2 g6.2")
        [finding] = look_at_zones(ec2.client, instances(self.ONE, self.NODES))
        assert finding.state == "problem"
        assert "the region offers no g6.12xlarge" in finding.detail


class TestDns:
    def answers(self, ec2: Service, *, support: bool, hostnames: bool) -> None:
        for attribute, key, value in (
            ("enableDnsSupport", "EnableDnsSupport", support),
            ("enableDnsHostnames", "EnableDnsHostnames", hostnames),
        ):
            ec2.answers("describe_vpc_attribute", {key: {"Value": value}}, VpcId=VPC, Attribute=attribute)

    def test_what_is_off_comes_with_its_command(self, ec2: Service) -> None:
        self.answers(ec2, support=True, hostnames=False)
        [finding] = look_at_dns(ec2.client, instances(), OPTIONS)
        assert finding.state == "problem"
        assert (
            f"`aws ec2 modify-vpc-attribute --vpc-id {VPC} --enable-dns-hostnames --profile robots`" in finding.detail
        )

    def test_both_are_on(self, ec2: Service) -> None:
        self.answers(ec2, support=True, hostnames=True)
        [finding] = look_at_dns(ec2.client, instances(), "")
        assert finding.state == "ok"

    def test_a_new_vpc_has_them(self, ec2: Service) -> None:
        assert list(look_at_dns(ec2.client, instances(vpc_id=None), "")) == []


class TestDefaultSecurityGroup:
    ALL_OUT: ClassVar[dict[str, Any]] = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ITSELF: ClassVar[dict[str, Any]] = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1"}]}

    def answers(self, ec2: Service, inbound: list[dict[str, Any]], outbound: list[dict[str, Any]]) -> None:
        group = {"GroupId": "sg-1", "IpPermissions": inbound, "IpPermissionsEgress": outbound}
        filters = [{"Name": "vpc-id", "Values": [VPC]}, {"Name": "group-name", "Values": ["default"]}]
        ec2.answers("describe_security_groups", {"SecurityGroups": [group]}, Filters=filters)

    def test_as_aws_makes_it_it_does(self, ec2: Service) -> None:
        self.answers(ec2, [self.ITSELF], [self.ALL_OUT])
        [finding] = look_at_default_group(ec2.client, instances(use_efa=True), "")
        assert finding.state == "ok"

    @pytest.mark.parametrize(
        "inbound",
        [[], [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": "sg-1"}]}]],
    )
    def test_emptied_as_some_organisations_do_it_does_not(self, ec2: Service, inbound: list[dict[str, Any]]) -> None:
        self.answers(ec2, inbound, [])
        [finding] = look_at_default_group(ec2.client, instances(use_efa=True), OPTIONS)
        assert finding.state == "problem"
        assert "aws ec2 authorize-security-group-ingress --group-id sg-1" in finding.detail
        assert "aws ec2 authorize-security-group-egress --group-id sg-1" in finding.detail
        assert "useEfa to false" in finding.detail

    def test_without_adapters_it_does_not_matter(self, ec2: Service) -> None:
        assert list(look_at_default_group(ec2.client, instances(), "")) == []


class TestKeyOfVolumes:
    def key(self, ec2: Service, kms: Service, policy: str, *grantees: str) -> None:
        ec2.answers("get_ebs_default_kms_key_id", {"KmsKeyId": KEY})
        kms.answers(
            "describe_key", {"KeyMetadata": {"KeyId": "0b0e5f2c", "Arn": KEY, "KeyManager": "CUSTOMER"}}, KeyId=KEY
        )
        kms.answers("get_key_policy", {"Policy": policy}, KeyId=KEY, PolicyName="default")
        grants = [{"GranteePrincipal": grantee} for grantee in grantees]
        kms.answers("list_grants", {"Grants": grants, "Truncated": False}, KeyId=KEY)

    def look(self, services: dict[str, Service], *, use_spot: bool = False) -> list[Any]:
        ec2, kms, iam = (services[name].client for name in ("ec2", "kms", "iam"))
        return list(look_at_disk_key(ec2, kms, iam, instances(use_spot=use_spot), OPTIONS))

    def test_awss_own_needs_nothing(self, services: dict[str, Service], ec2: Service) -> None:
        ec2.answers("get_ebs_default_kms_key_id", {"KmsKeyId": "alias/aws/ebs"})
        [finding] = self.look(services)
        assert (finding.state, finding.detail) == ("ok", "AWS's own")

    def test_a_key_of_the_account_has_to_let_auto_scaling_use_it(
        self, services: dict[str, Service], ec2: Service, kms: Service, iam: Service
    ) -> None:
        self.key(ec2, kms, '{"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}')
        has(iam, "autoscaling")

        [finding] = self.look(services)

        assert finding.state == "problem"
        command = f"aws kms create-grant --key-id {KEY} --grantee-principal {AUTO_SCALING} --operations Encrypt Decrypt"
        assert command in finding.detail

    @pytest.mark.parametrize(
        ("policy", "grantees"), [(f'{{"AWS": "{AUTO_SCALING}"}}', ()), ("{}", (AUTO_SCALING,))], ids=["policy", "grant"]
    )
    def test_a_policy_or_a_grant_does(
        self, services: dict[str, Service], ec2: Service, kms: Service, policy: str, grantees: tuple[str, ...]
    ) -> None:
        self.key(ec2, kms, policy, *grantees)
        [finding] = self.look(services)
        assert finding.state == "ok"

    def test_spot_instances_are_started_by_another_role_besides(
        self, services: dict[str, Service], ec2: Service, kms: Service, iam: Service
    ) -> None:
        self.key(ec2, kms, f'{{"AWS": "{AUTO_SCALING}"}}')
        has(iam, "autoscaling")
        [finding] = self.look(services, use_spot=True)
        assert "the service-linked role of spot.amazonaws.com" in finding.detail
        assert "make that role first" in finding.detail


class TestWhereInstancesStand:
    ONE_SIZE = Settings(instanceTypes=("g6.2xlarge",))

    @pytest.mark.parametrize(
        ("defaults", "zones", "expected"),
        [
            (["c", "a", "b"], [], ("us-east-1a", "us-east-1b")),
            # Fn::GetAZs leaves out zones without a default subnet, if any zone has one.
            (["b", "d"], [], ("us-east-1b", "us-east-1d")),
            ([], ["b", "a", "c"], ("us-east-1a", "us-east-1b")),
        ],
    )
    def test_in_a_new_vpc_in_the_first_two_zones(
        self, ec2: Service, defaults: list[str], zones: list[str], expected: tuple[str, ...]
    ) -> None:
        subnets = [{"AvailabilityZone": f"us-east-1{zone}"} for zone in defaults]
        filters = [{"Name": "default-for-az", "Values": ["true"]}]
        ec2.answers("describe_subnets", {"Subnets": subnets}, Filters=filters)
        if zones:
            answer = {"AvailabilityZones": [{"ZoneName": f"us-east-1{zone}"} for zone in zones]}
            ec2.answers(
                "describe_availability_zones", answer, Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}]
            )
        planned = planned_instances(self.ONE_SIZE, ec2.client)
        assert [group.zones for group in planned.groups] == [expected, expected[:1]]
        assert planned.vpc_id is None

    def test_in_a_new_vpc_where_the_settings_say(self, ec2: Service) -> None:
        settings = Settings(instanceTypes=("g6.2xlarge",), availabilityZones=("us-east-1d", "us-east-1b"))
        one, nodes = planned_instances(settings, ec2.client).groups
        assert one.zones == ("us-east-1d", "us-east-1b")
        assert (nodes.zones, nodes.is_multi_node) == (("us-east-1d",), True)

    def existing(self, ec2: Service, *subnets: dict[str, Any]) -> None:
        of_vpc = [{"Name": "vpc-id", "Values": [VPC]}]
        anywhere = {"DestinationCidrBlock": "0.0.0.0/0"}
        tables = [
            # The main one: subnets without a table of their own have it.
            {
                "Associations": [{"Main": True}],
                "Routes": [{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}],
            },
            {"Associations": [{"SubnetId": "subnet-1"}], "Routes": [anywhere | {"GatewayId": "igw-1"}]},
            {"Associations": [{"SubnetId": "subnet-2"}], "Routes": [anywhere | {"NatGatewayId": "nat-1"}]},
            {"Associations": [{"SubnetId": "subnet-3"}], "Routes": [anywhere | {"TransitGatewayId": "tgw-1"}]},
            # An endpoint of a firewall, say.
            {"Associations": [{"SubnetId": "subnet-4"}], "Routes": [anywhere | {"GatewayId": "vpce-1"}]},
        ]
        ec2.answers("describe_route_tables", {"RouteTables": tables}, Filters=of_vpc)
        ec2.answers("describe_subnets", {"Subnets": [*subnets]}, Filters=of_vpc)

    @staticmethod
    def subnet(number: int, zone: str, **tags: str) -> dict[str, Any]:
        named = [{"Key": "aws-cdk:subnet-type", "Value": kind} for kind in tags.values()]
        return {"SubnetId": f"subnet-{number}", "AvailabilityZone": f"us-east-1{zone}", "Tags": named}

    def test_in_an_existing_vpc_in_its_private_subnets(self, ec2: Service) -> None:
        self.existing(
            ec2,
            self.subnet(1, "a"),
            self.subnet(2, "b"),
            self.subnet(3, "c"),
            self.subnet(4, "d", kind="Private"),
            self.subnet(5, "e"),
        )
        one, nodes = planned_instances(Settings(instanceTypes=("g6.2xlarge",), vpcId=VPC), ec2.client).groups
        assert one.zones == ("us-east-1b", "us-east-1c", "us-east-1d")
        assert nodes.zones == ("us-east-1b",)

    def test_nodes_of_one_job_are_in_the_zone_that_the_deployment_looks_up_as_the_first(self, ec2: Service) -> None:
        """The CDK's command line sorts the subnets of each group by their zone: `groupAsymmetricSubnets`."""
        self.existing(ec2, *(self.subnet(number, zone, kind="Private") for number, zone in ((7, "c"), (8, "b"))))
        found = planned_instances(Settings(vpcId=VPC), ec2.client)
        assert {group.zones for group in found.groups if group.is_multi_node} == {("us-east-1b",)}

    def test_an_existing_vpc_without_private_subnets_is_refused_as_by_the_deployment(self, ec2: Service) -> None:
        self.existing(ec2, self.subnet(1, "a"), self.subnet(4, "b"))
        with pytest.raises(SettingsError, match="1 public subnet, 1 isolated subnet and no private subnet"):
            planned_instances(Settings(vpcId=VPC), ec2.client)

    def test_of_a_deployment_where_its_compute_environments_say(self, ec2: Service) -> None:
        subnets = [
            {"SubnetId": "subnet-1", "AvailabilityZone": "us-east-1a", "VpcId": VPC},
            {"SubnetId": "subnet-2", "AvailabilityZone": "us-east-1b", "VpcId": VPC},
        ]
        ec2.answers("describe_subnets", {"Subnets": subnets}, SubnetIds=["subnet-1", "subnet-2"])
        both = ["subnet-2", "subnet-1"]
        environments: list[Any] = [
            {"computeResources": {"type": "SPOT", "subnets": both, "instanceTypes": ["g6.2xlarge"]}},
            {
                "computeResources": {
                    "type": "EC2",
                    "subnets": ["subnet-2"],
                    "instanceTypes": ["g6.12xlarge"],
                    "placementGroup": "group",
                }
            },
        ]
        found = deployed_instances(environments, ec2.client)
        assert found.groups == (
            InstanceGroup(("g6.2xlarge",), ("us-east-1a", "us-east-1b"), is_multi_node=False),
            InstanceGroup(("g6.12xlarge",), ("us-east-1b",), is_multi_node=True),
        )
        assert (found.vpc_id, found.use_spot, found.use_efa) == (VPC, True, True)
