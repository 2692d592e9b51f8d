"""How the pipeline is watched: alarms, a dashboard, saved queries."""

from __future__ import annotations

from constructs import Construct

from gaitway.settings import Settings
from stacks.components.monitored import Monitored
from stacks.components.monitoring_alarms import Alarms
from stacks.components.monitoring_dashboard import PipelineDashboard
from stacks.components.monitoring_queries import SavedQueries
from stacks.components.monitoring_topic import AlarmTopic


class Monitoring(Construct):
    """Dashboard, alarms and queries; `docs/dashboard.md` explains them to their users."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, monitored: Monitored) -> None:
        super().__init__(scope, construct_id)
        topic = AlarmTopic(self, "AlarmTopic", settings).topic
        alarms = Alarms(self, "Alarms", monitored, topic)
        PipelineDashboard(self, "Dashboard", monitored, alarms.alarms)
        SavedQueries(self, "Queries", monitored)
