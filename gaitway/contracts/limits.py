"""Every time limit that two parts of Gaitway must agree on: timeouts, heartbeats and retries.

Stacks, state machines, functions, the runner and the table in docs/operations.md use these values. The polling interval
of a loop, or a limit of one client, is defined next to that loop or client. tests/unit/test_state_machines.py tests the
relations between the limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gaitway.contracts.workload import Mode


class CallerLimits(NamedTuple):
    """How long a caller waits for its run."""

    timeout_seconds: int
    heartbeat_seconds: int
    """It gives up after this time without a heartbeat."""


class Retry(NamedTuple):
    """How a state retries its function after some errors."""

    errors: tuple[str, ...]
    """Error names of Step Functions."""
    first_pause_seconds: int
    growth: float
    """Factor between one pause and the next."""
    attempts: int
    longest_pause_seconds: int | None = None
    has_jitter: bool = True
    """Whether each pause has a random length between 0 and its full length."""
    comment: str | None = None

    @property
    def pauses(self) -> list[float]:
        """Seconds before each attempt, without jitter."""
        longest = self.longest_pause_seconds or float("inf")
        return [min(self.first_pause_seconds * self.growth**number, longest) for number in range(self.attempts)]


# The caller of a run.

CALLER_LIMITS: dict[Mode, CallerLimits] = {
    "train": CallerLimits(timeout_seconds=28_800, heartbeat_seconds=3_600),
    "evaluate": CallerLimits(timeout_seconds=7_200, heartbeat_seconds=1_800),
}
"""How long a caller waits for a run, and for each of its heartbeats. Our own workflow has these limits, and our
pipelines are registered with VAMS with the same."""
CLOSING_SECONDS = 600
"""Part of a caller's timeout that is reserved for the steps after the job. So the run ends first, and its caller
receives the real cause."""
CALLER_GRACE_SECONDS = 600
"""A run without a caller is cancelled after this time. It is longer than the 5 seconds after which VAMS retries a
failed step with a new token for the same run."""
LONGEST_RUN_SECONDS = max(limits.timeout_seconds for limits in CALLER_LIMITS.values())
"""No caller waits longer."""
WORKFLOW_TIMEOUT_SECONDS = LONGEST_RUN_SECONDS + 600
"""For a whole execution of the outer machine: it ends only executions that their states did not end."""
PIPELINE_TIMEOUT_SECONDS = LONGEST_RUN_SECONDS + 1_800
"""For a whole execution of the inner machine: it ends only executions that their states did not end."""


# The job.

JOB_HEARTBEAT_TIMEOUT_SECONDS = 1_500
"""SubmitJob gives the job up after this time without a heartbeat: early enough to report the cause to an evaluation's
caller."""
HEARTBEAT_SECONDS = 300
"""Between two heartbeats of the runner, unless the settings say otherwise."""
START_UP_ALLOWANCE_SECONDS = 1_800
"""A run may be idle for this time before its first iteration. Isaac Sim compiles its shaders at its first start on a
machine, which takes many minutes."""
IDLE_ALLOWANCE_SECONDS = 900
"""A run may be idle for this time after its first iteration: longer than any iteration or upload takes. Then the runner
ends the simulator. If that fails, the heartbeat's own timeout ends the run within 40 minutes."""
EXIT_ALLOWANCE_SECONDS = 60
"""A simulator may run for this time after its work is done: Isaac Sim sometimes does not exit."""
SIMULATOR_STOP_SECONDS = 10
"""A simulator may take this time to stop after SIGTERM. The whole job has 30 seconds from its SIGTERM on."""
STOPPED_SALVAGE_SECONDS = 10
"""A runner that was asked to stop may upload the remaining files for this time after that."""
FAILED_SALVAGE_SECONDS = 60
"""A runner whose run failed, and that is not being stopped, may upload for this time: the caller waits."""
HANDOVER_SECONDS = 60
"""A runner whose token is refused waits this long for a new one: SubmitJob's Retry pauses before it gives the active
job a new token."""
NODES_JOIN_SECONDS = 1_500
"""The leading node waits this long for the others. They may be started only when the main one runs, and each of them
then pulls its image of some 20 GB (docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html). Less than
START_UP_ALLOWANCE_SECONDS, so that the leading node sends heartbeats meanwhile."""
INSTALL_SECONDS = 900
"""Installing what a custom environment depends on may take this time. Less than START_UP_ALLOWANCE_SECONDS, so that the
runner sends heartbeats meanwhile."""
RUN_LOCK_SECONDS = 180
"""An attempt waits this long for the lock on the run's directory. A job that is being stopped has 30 seconds. After a
machine was lost, EFS keeps its lock for some 90 seconds longer."""
RETRY_SECONDS = 300
"""The runner retries an AWS call for this time: longer than throttling or an endpoint's failure usually lasts, shorter
than any heartbeat's timeout."""
ANSWER_RETRY_SECONDS = 600
"""The runner tries to report its outcome for this time: without the report, the whole run is lost."""


# The functions.

FUNCTION_SECONDS: dict[str, int] = {
    "launch": 30,
    "construct_run": 60,
    "submit_job": 30,
    "collect_results": 90,
    "handle_failure": 300,
    "tell_caller": 30,
    "heartbeat": 240,
    "job_state": 30,
}
"""How long a call of each function may take. collect_results is called for each of the three steps after the job;
handle_failure reports to the caller within the first minute, the rest is for large files. A call of heartbeat ends
before the next one."""
STATE_MARGIN_SECONDS = 30
"""A state waits this much longer than its function may take. So it recognises a function's timeout as such, and retries
it."""
HEARTBEAT_CALL_SECONDS = 300
"""Between two calls of the heartbeat function, which sends heartbeats for all runs whose jobs wait for a machine."""
QUIET_SECONDS = 120
"""heartbeat reports a missing job or execution after this time: until then another function may still end the run, or
start its job."""
JOB_CLAIM_SECONDS = 10
"""How long a call of submit_job has the sole right to submit a run's job."""
JOB_PATIENCE_SECONDS = 20
"""How long a call of submit_job waits for the job that another call submits: longer than a claim lasts."""
SALVAGE_SECONDS = 30
"""handle_failure reports to the caller after this time, even if files are left to save. With the time of the AWS calls,
that is within a minute."""
ENDING_RUNNER_SECONDS = 20
"""handle_failure waits this long for a runner that was asked to stop. The runner gives its simulator
SIMULATOR_STOP_SECONDS."""

WAKING_ERRORS = (
    "ResourceNotReadyException",
    "ENINotReadyException",
    "CodeArtifactUserPendingException",
    "ResourceConflictException",
)
"""Lambda's errors while it activates a function that was not called for weeks
(docs.aws.amazon.com/lambda/latest/dg/functions-states.html): docs.aws.amazon.com/lambda/latest/api/API_Invoke.html."""
LAMBDA_RETRIES = (
    Retry(
        ("Lambda.TooManyRequestsException",),
        comment="The function was not called. Where an account has room for ten functions at once, a burst of runs "
        "waits for minutes.",
        first_pause_seconds=2,
        growth=1.5,
        attempts=30,
        longest_pause_seconds=30,
    ),
    Retry(
        tuple(f"Lambda.{error}" for error in WAKING_ERRORS),
        comment="Lambda makes a function Inactive that was not called for weeks. The call that wakes it fails, and so "
        "does each until it is awake: a minute or so in a VPC.",
        first_pause_seconds=5,
        growth=1.5,
        attempts=10,
        longest_pause_seconds=20,
        has_jitter=False,
    ),
    Retry(
        (
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
            "Lambda.ClientExecutionTimeoutException",
        ),
        first_pause_seconds=2,
        growth=2,
        attempts=5,
        longest_pause_seconds=30,
    ),
    Retry(
        ("Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"),
        comment="The function ran out of memory or time, or Lambda lost it.",
        first_pause_seconds=1,
        growth=2,
        attempts=2,
    ),
)
"""How every state retries its function. An error of the function itself is not retried: it fails the run."""

REGISTRATION_CALL_SECONDS = 240
"""How long VAMS's own function may take to register a pipeline: it calls four functions in turn."""
REGISTRATION_SECONDS = 420
"""How long register_with_vams may take for a pipeline: Lambda may need two minutes to activate VAMS's function
first."""


# The alarms.

SILENT_ALARM_SECONDS = 1_200
"""A running run has written nothing for this time. It is between IDLE_ALLOWANCE_SECONDS, when a runner ends a simulator
that makes no progress, and JOB_HEARTBEAT_TIMEOUT_SECONDS: so the runner itself makes no progress."""
ORDER_ALARM_SECONDS = 600
"""An order has waited for a cluster's agent for this time, which takes one within seconds."""
QUEUED_ALARM_SECONDS = 3_600
"""A job has waited for a machine for this time: an instance starts within minutes if there is capacity."""
