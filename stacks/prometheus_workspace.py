"""GaitwayPrometheus: where the metrics of runs on clusters are kept and watched, unless an operator has a place."""

from __future__ import annotations

import base64
import json

import aws_cdk as cdk
from aws_cdk import aws_aps as aps
from aws_cdk import aws_grafana as grafana
from aws_cdk import aws_iam as iam
from constructs import Construct

from gaitway.settings import Settings, SettingsError
from stacks.components.logs import log_group
from stacks.components.network import Network
from stacks.components.task_governance import NAMESPACE_PREFIX
from stacks.eks import eks_cluster_arn
from stacks.prometheus.rules import rules
from stacks.prometheus.scraping import of_kubernetes

_QUERY = ("aps:GetLabels", "aps:GetMetricMetadata", "aps:GetSeries", "aps:QueryMetrics")
"""docs.aws.amazon.com/grafana/latest/userguide/AMG-manage-permissions.html"""
_ZONES = 2


class PrometheusStack(cdk.Stack):
    """A workspace with rules and an alert manager, a scraper of an EKS cluster, and Grafana if it is wanted."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        settings: Settings,
        network: Network,
        *,
        env: cdk.Environment | None,
    ) -> None:
        """Make it.

        Raises:
            SettingsError: The subnets are in one zone, and a scraper wants two.
        """
        super().__init__(
            scope,
            construct_id,
            env=env,
            stack_name=settings.names.stack("Prometheus"),
            description="Gaitway: Prometheus",
        )
        self._settings = settings
        self._names = settings.names
        logs = log_group(self, "Logs", self._names.prometheus_logs)
        self._workspace = aps.CfnWorkspace(
            self,
            "Workspace",
            alias=self._names.prometheus,
            alert_manager_definition=self._alert_manager(),
            # Alerts that could not be sent, and rules that could not be evaluated.
            logging_configuration=aps.CfnWorkspace.LoggingConfigurationProperty(log_group_arn=logs.log_group_arn),
        )
        aps.CfnRuleGroupsNamespace(
            self,
            "Rules",
            name=self._names.prometheus,
            workspace=self._workspace.attr_arn,
            # JSON is YAML, as which this is read.
            data=json.dumps(rules()),
        )
        # Any other cluster has a Prometheus of its own, which writes here.
        if "hyperpod-eks" in settings.hyperpod_clusters:
            self._scrape(network)
        for cluster in settings.clusters:
            # On Slurm it is on the controller, which has the role of its node.
            if cluster == "hyperpod-slurm":
                self._allow_to_write(settings.names.agent_role(cluster, cdk.Aws.REGION))
        if settings.grafana:
            self._show()
        cdk.CfnOutput(self, "PrometheusEndpoint", value=self._workspace.attr_prometheus_endpoint)

    def _alert_manager(self) -> str:
        """Send alerts to the topic of alarms.

        docs.aws.amazon.com/prometheus/latest/userguide/AMP-alertmanager-receiver-config.html
        """
        topic = self.format_arn(service="sns", resource=self._names.alarm_topic)
        receiver = {
            "name": "alarms",
            "sns_configs": [
                {
                    "topic_arn": topic,
                    "sigv4": {"region": self.region},
                    # Its own subject, of all labels, can be too long for SNS.
                    "subject": f"{self._names.deployment}: an alert of Prometheus",
                }
            ],
        }
        config = {"route": {"receiver": "alarms", "group_by": ["alertname", "run"]}, "receivers": [receiver]}
        # A document in a document, the inner one as a block of text: it is YAML as well as JSON.
        return f"alertmanager_config: |\n  {self.to_json_string(config)}\n"

    def _scrape(self, network: Network) -> None:
        """Scrape the pods of the EKS cluster from outside.

        Its API is reachable in the VPC, and the scraper gets its rights there by itself, since the cluster has access
        entries: docs.aws.amazon.com/prometheus/latest/userguide/AMP-collector-how-to.html. It has the security groups
        of the nodes, which let each other in, and of an existing cluster's API.
        """
        settings = self._settings
        subnets = network.compute_subnets.subnets or []
        if len({subnet.availability_zone for subnet in subnets}) < _ZONES:
            raise SettingsError(
                f"subnetIds is {', '.join(settings.subnet_ids)}, all in one zone, but prometheus is True, and its "
                "scraper of the cluster wants subnets in two zones at least: name one of another zone too."
            )
        groups = [network.nodes_security_group.security_group_id]
        if settings.eks_security_group_id is not None:
            groups.append(settings.eks_security_group_id)
        assert settings.eks_team is not None
        config = json.dumps(of_kubernetes(f"{NAMESPACE_PREFIX}{settings.eks_team}")).encode()
        aps.CfnScraper(
            self,
            "Scraper",
            alias=self._names.prometheus,
            source=aps.CfnScraper.SourceProperty(
                eks_configuration=aps.CfnScraper.EksConfigurationProperty(
                    cluster_arn=eks_cluster_arn(self, settings),
                    subnet_ids=[subnet.subnet_id for subnet in subnets],
                    security_group_ids=groups,
                )
            ),
            scrape_configuration=aps.CfnScraper.ScrapeConfigurationProperty(
                configuration_blob=base64.b64encode(config).decode()
            ),
            destination=aps.CfnScraper.DestinationProperty(
                amp_configuration=aps.CfnScraper.AmpConfigurationProperty(workspace_arn=self._workspace.attr_arn)
            ),
        )

    def _allow_to_write(self, role_name: str) -> None:
        """Let a role that another stack has made write metrics."""
        iam.Policy(
            self,
            "Write",
            roles=[iam.Role.from_role_name(self, "Writer", role_name)],
            statements=[iam.PolicyStatement(actions=["aps:RemoteWrite"], resources=[self._workspace.attr_arn])],
        )

    def _show(self) -> None:
        """Make Grafana, which may query this workspace and nothing else."""
        role = iam.Role(
            self,
            "GrafanaRole",
            assumed_by=iam.ServicePrincipal(
                "grafana.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self.account}}
            ),
        )
        role.add_to_policy(iam.PolicyStatement(actions=[*_QUERY], resources=[self._workspace.attr_arn]))
        shown = grafana.CfnWorkspace(
            self,
            "Grafana",
            name=self._names.prometheus,
            account_access_type="CURRENT_ACCOUNT",
            authentication_providers=["AWS_SSO"],
            permission_type="CUSTOMER_MANAGED",
            role_arn=role.role_arn,
            data_sources=["PROMETHEUS"],
        )
        cdk.CfnOutput(self, "GrafanaEndpoint", value=shown.attr_endpoint)
