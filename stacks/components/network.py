"""The VPC: compute in private subnets behind NAT, the file system in subnets without any way out."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from gaitway.settings import Settings
from gaitway.subnets import VpcSubnets, choose_subnets
from stacks.components.logs import log_group

_NFS = ec2.Port.tcp(2049)


class Network(Construct):
    """A new VPC or an existing one, and the security groups in it.

    Attributes:
        vpc: The VPC.
        compute_subnets: Subnets of jobs and of functions that mount the file system: private, with access to
            registries.
        one_zone_subnets: Subnets of the nodes of multi-node jobs: a cluster placement group has one zone.
        file_system_subnets: Subnets of the file system's mount targets.
        file_system_zones: The zones of these subnets, in an existing VPC; None in a new one.
        compute_security_group: Of the instances.
        nodes_security_group: Additional group of the nodes of multi-node jobs, which lets them talk to each other.
        function_security_group: Of functions that read a run's files: they call AWS, and mount the file system.
        file_system_security_group: Of the mount targets; allows only NFS from these groups and the instances.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.vpc = (
            ec2.Vpc.from_lookup(self, "Vpc", vpc_id=settings.vpc_id)
            if settings.vpc_id is not None
            else self._new_vpc(settings)
        )
        has = VpcSubnets(self.vpc.private_subnets, self.vpc.isolated_subnets, self.vpc.public_subnets)
        # Until it has been looked up, the CDK supplies a dummy VPC, whose subnets are not the user's.
        is_known = settings.vpc_id in (None, self.vpc.vpc_id)
        used = choose_subnets(settings if is_known else settings.model_copy(update={"subnet_ids": ()}), has)
        self.compute_subnets = ec2.SubnetSelection(subnets=[*used.compute])
        # docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html
        self.one_zone_subnets = ec2.SubnetSelection(subnets=[*used.one_zone])
        self.file_system_subnets = ec2.SubnetSelection(subnets=[*used.mount_targets.values()])
        self.file_system_zones = None if settings.vpc_id is None else tuple(used.mount_targets)

        # They are created here and not beside what they protect: each rule names the other group, and two stacks that
        # refer to each other cannot be deployed.
        self.compute_security_group = ec2.SecurityGroup(
            self,
            "ComputeSecurityGroup",
            vpc=self.vpc,
            description="Gaitway jobs: they fetch images and call AWS, nobody calls them",
        )
        self.nodes_security_group = ec2.SecurityGroup(
            self,
            "NodesSecurityGroup",
            vpc=self.vpc,
            description="Gaitway multi-node jobs: their nodes talk among themselves",
            # An Elastic Fabric Adapter wants the rule that names the group itself in both directions:
            # docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html
            allow_all_outbound=False,
        )
        self.nodes_security_group.connections.allow_internally(ec2.Port.all_traffic(), "Among the nodes")
        self.function_security_group = ec2.SecurityGroup(
            self,
            "FunctionSecurityGroup",
            vpc=self.vpc,
            description="Gaitway functions that mount the file system: nobody calls them",
            allow_all_outbound=False,
        )
        self.file_system_security_group = ec2.SecurityGroup(
            self,
            "FileSystemSecurityGroup",
            vpc=self.vpc,
            # Changing this description would replace the group.
            description="Gaitway file system: reached by the jobs only",
            allow_all_outbound=False,
        )
        self.file_system_security_group.add_ingress_rule(self.compute_security_group, _NFS, "NFS from the jobs")
        self.file_system_security_group.add_ingress_rule(self.function_security_group, _NFS, "NFS from functions")
        self.function_security_group.add_egress_rule(self.file_system_security_group, _NFS, "NFS")
        self.function_security_group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS")

    def _new_vpc(self, settings: Settings) -> ec2.IVpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            # Without names, the first two of the region.
            availability_zones=[*settings.availability_zones] or None,
            max_azs=None if settings.availability_zones else 2,
            nat_gateways=1,
            # Would add a custom resource; nothing uses the default group.
            restrict_default_security_group=False,
            subnet_configuration=[
                # Nothing but the NAT gateway lives here.
                ec2.SubnetConfiguration(
                    name="Public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(name="Compute", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20),
                ec2.SubnetConfiguration(name="FileSystem", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
            ],
            # Checkpoints and records then do not pay for the NAT gateway.
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(
                log_group(self, "FlowLogs", settings.names.logs("vpc"))
            ),
        )
        return vpc
