"""Saved queries of CloudWatch Logs Insights, for investigating a fault."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.components.monitored import Monitored

_RUN_STORY = """\
fields @timestamp, coalesce(function_name, details.name, @logStream) as who, level,
    coalesce(message, type, @message) as said
| filter @message like /{{run_id}}/
| sort @timestamp asc
| limit 1000
"""

_JOB_LOG = """\
fields @timestamp, @message
| filter @logStream = '{{log_stream}}'
| sort @timestamp asc
| limit 10000
"""

_ERRORS = """\
fields @timestamp, coalesce(function_name, @log) as who, run_id, coalesce(message, @message) as said,
    exception_name, location
| filter level in ['ERROR', 'CRITICAL'] or @message like /^\\[ERROR\\]|Task timed out|Runtime\\.ExitError/
| sort @timestamp desc
| limit 500
"""

_WHY_RUNS_FAILED = """\
filter message like / failed: /
| parse message '* failed: *' as run, error
| stats count() as failures, count_distinct(run) as runs, latest(run) as newest_run, max(@timestamp) as newest by error
| sort failures desc
"""

_JOB_ENDS = """\
fields @timestamp, function_name, message
| filter level = 'WARNING'
| sort @timestamp desc
| limit 500
"""

_SLOWEST_FUNCTIONS = """\
filter @type = 'REPORT'
| stats count() as calls, count(@initDuration) as cold_starts, avg(@duration) as average_ms,
    pct(@duration, 95) as p95_ms, max(@duration) as longest_ms, max(@maxMemoryUsed) / 1000000 as memory_mb by @log
| sort p95_ms desc
"""


class SavedQueries(Construct):
    """The queries, in the console under the deployment's name. Two have a parameter."""

    def __init__(self, scope: Construct, construct_id: str, monitored: Monitored) -> None:
        super().__init__(scope, construct_id)
        self._names = monitored.names
        functions = {watched.verb: watched.logs for watched in monitored.functions}
        machines = [monitored.pipeline.logs, monitored.workflow.logs]
        # By its name: it belongs to another stack.
        job = logs.LogGroup.from_log_group_name(self, "JobLogs", self._names.job_logs)
        everywhere = [*functions.values(), *machines, job]
        self._query("run-story", _RUN_STORY, everywhere, run_id="The run's id, or how it begins")
        self._query("job-log", _JOB_LOG, [job], log_stream="As run-story or gaitway show has it")
        self._query("errors", _ERRORS, [*functions.values()])
        self._query(
            "why-runs-failed",
            _WHY_RUNS_FAILED,
            [functions["handle_failure"], functions["tell_caller"]],
        )
        self._query("why-jobs-ended", _JOB_ENDS, [functions["job_state"], functions["heartbeat"]])
        self._query("slowest-functions", _SLOWEST_FUNCTIONS, [*functions.values()])

    def _query(self, name: str, text: str, groups: Sequence[logs.ILogGroup], **parameters: str) -> None:
        """Save a query.

        Args:
            name: Its name.
            text: The query, in Logs Insights' own language.
            groups: The log groups that it searches.
            parameters: Its parameters, with a description.
        """
        logs.CfnQueryDefinition(
            self,
            "".join(part.title() for part in name.split("-")),
            name=self._names.query(name),
            query_string=text,
            log_group_names=[group.log_group_name for group in groups],
            parameters=[
                logs.CfnQueryDefinition.QueryParameterProperty(name=parameter, description=description)
                for parameter, description in parameters.items()
            ]
            or None,
        )
