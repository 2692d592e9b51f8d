"""The VPC: compute in private subnets behind NAT, the file system in subnets without any way out."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from gaitway.settings import Settings
from stacks.components.logs import log_group

_NFS = ec2.Port.tcp(2049)


class Network(Construct):
    """A new VPC or an existing one, and the security groups in it.

    Attributes:
        vpc: The VPC.
        compute_subnets: Where jobs run: private, and able to fetch images.
        one_compute_subnet: Where the nodes of multi-node jobs run: a cluster placement group has one zone.
        file_system_subnets: Where the file system's mount targets stand.
        compute_security_group: Of the instances.
        nodes_security_group: Of the nodes of multi-node jobs, besides: they talk among themselves.
        function_security_group: Of functions that read what a run left: they call AWS, and mount the file system.
        file_system_security_group: Of the mount targets; lets NFS in from these and the instances, and nothing else.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.vpc = (
            ec2.Vpc.from_lookup(self, "Vpc", vpc_id=settings.vpc_id) if settings.vpc_id is not None else self._new_vpc()
        )
        self.compute_subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        # docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html
        self.one_compute_subnet = ec2.SubnetSelection(
            subnets=self.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS).subnets[:1]
        )
        self.file_system_subnets = ec2.SubnetSelection(subnets=self.vpc.isolated_subnets or self.vpc.private_subnets)

        # They are made here and not beside what they protect: each rule names the other group, and two stacks that
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
            # Changing these words would replace the group.
            description="Gaitway file system: reached by the jobs only",
            allow_all_outbound=False,
        )
        self.file_system_security_group.add_ingress_rule(self.compute_security_group, _NFS, "NFS from the jobs")
        self.file_system_security_group.add_ingress_rule(self.function_security_group, _NFS, "NFS from functions")
        self.function_security_group.add_egress_rule(self.file_system_security_group, _NFS, "NFS")
        self.function_security_group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS")

    def _new_vpc(self) -> ec2.IVpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=2,
            nat_gateways=1,
            # Would bring a custom resource; nothing uses the default group.
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
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(log_group(self, "FlowLogs", "/gaitway/vpc")),
        )
        return vpc
