"""One fault: a run, its fault, and its outcome."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from gaitway.contracts.backends import DEFAULT_BACKEND, Backend
from gaitway.contracts.limits import JOB_HEARTBEAT_TIMEOUT_SECONDS
from gaitway.contracts.model import S3Uri
from gaitway.contracts.run import (
    RunRecord,
    output_prefix_of,
    run_id_of,
    workflow_output_path,
)
from gaitway.contracts.workload import Mode
from tests.faults.clusters import RunJob
from tests.faults.plan import Act, Plan, ledger, plan_path
from tests.faults.proxy import Action, Rule
from tests.faults.world import FUNCTION_SECONDS, TELLING_SECONDS, World
from tests.local.conformance.workflow import ROLE_ARN
from tests.local.deployed import VAMS_STATE, Json

SUCCEEDED = "succeeded"
ITERATIONS = 12
EPISODES = 8
TOLD_SECONDS = 60.0
"""If AWS itself reports the fault."""
_VAMS_PATH = f"pipelines/isaaclab/{VAMS_STATE}/output/{{}}/files/"
_OF_JOBS = ("GAITWAY_JOB_ID", "GAITWAY_JOB_NAME", "GAITWAY_JOB_OBJECT")
"""Variables in which further back ends give a job the name that holds its run's id."""
_DEADLINE_SECONDS = 150.0
"""An event that has not occurred by then will not occur."""


@dataclass(frozen=True)
class Expected:
    """The expected outcome of a run."""

    succeeds: bool
    errors: frozenset[str] = frozenset()
    """The caller must receive one of these; empty if the run succeeds."""
    record_errors: frozenset[str] = frozenset()
    """The record must have one of these, if that differs from what the caller receives."""
    attempts: int | None = None
    """How often the runner must have started; any number, when None."""
    status: str = "FAILED"
    """Status of the caller's execution, if it does not succeed."""
    told_seconds: float = TOLD_SECONDS
    """The longest time between the fault and the caller's result."""
    tampered: frozenset[str] = frozenset()
    """Objects that the fault itself has changed."""
    has_results: bool = True
    """Whether results.json must be in S3."""
    callers_told: int = 1
    """How many tokens must be ended; 0 for a caller that ended by itself."""
    inner_succeeds: bool | None = None
    """Whether the inner execution succeeds, if that may differ from the run."""

    @property
    def text(self) -> str:
        """Text for the table."""
        return SUCCEEDED if self.succeeds else " or ".join(sorted(self.errors))


def succeeds(*, attempts: int | None = None, **fields: Any) -> Expected:
    """Expect that a run succeeds in spite of the fault."""
    return Expected(succeeds=True, attempts=attempts, told_seconds=fields.pop("told_seconds", 120.0), **fields)


def fails(*errors: str, **fields: Any) -> Expected:
    """Expect that a run fails with one of these errors."""
    return Expected(succeeds=False, errors=frozenset(errors), **fields)


def ends_itself(status: str, *record_errors: str, **fields: Any) -> Expected:
    """Expect that the caller's execution ends without a report from the run, whose record has one of these errors."""
    known = frozenset(record_errors)
    return Expected(succeeds=False, errors=known, record_errors=known, status=status, callers_told=0, **fields)


class GaveUpError(Exception):
    """The event that a scenario waited for did not occur."""


@dataclass(eq=False)
class Trial:
    """A run of the campaign.

    Args:
        world: The deployment.
        name: Name of the scenario.
        seed: Seed of the random choices.
        mode: Mode of the run.
    """

    world: World
    name: str
    seed: int
    mode: Mode
    random: random.Random = field(init=False)
    execution_name: str = field(init=False)
    output_path: S3Uri = field(init=False)
    execution_arn: str | None = None
    """ARN of the caller's execution."""
    is_vams: bool = False
    """Whether the caller is a workflow of VAMS."""
    rules: list[Rule] = field(default_factory=list)
    fault_times: list[float] = field(default_factory=list)
    """In seconds since the epoch."""
    asks: Json = field(default_factory=dict)
    """Fields of the request besides the usual ones."""
    compute: Json = field(default_factory=dict)
    """The requested machines."""
    details: list[str] = field(default_factory=list)
    """The choices that the seed made."""
    at_end: list[Callable[[], object]] = field(default_factory=list)
    """Clean-up to do afterwards."""

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.name} {self.mode} {self.seed}")  # noqa: S311 - no secret
        self.execution_name = f"faults-{uuid.uuid4().hex}"
        self.use_path(workflow_output_path(self.world.plane.bucket, self.execution_name))

    def use_path(self, path: S3Uri) -> None:
        """Give the run its output path, and with it its id."""
        self.output_path = path
        self.world.proxy.names.note(self.execution_name, self.run_id)

    @property
    def run_id(self) -> str:
        """The run's id, known before it starts."""
        return run_id_of(self.output_path)

    @property
    def backend(self) -> Backend:
        """What runs its jobs."""
        backend: Backend = self.compute.get("backend", DEFAULT_BACKEND)
        return backend

    @property
    def jobs(self) -> list[RunJob]:
        """Every job that the run ever had."""
        return self.world.jobs_of(self.run_id, self.backend)

    @property
    def outputs(self) -> S3Uri:
        """Prefix of its outputs."""
        return output_prefix_of(self.output_path)

    @property
    def record(self) -> RunRecord | None:
        """Its record."""
        return self.world.plane.table.get(self.run_id)

    @property
    def ledger(self) -> list[Json]:
        """What its processes have recorded."""
        return ledger(self.world.plans, self.run_id)

    @property
    def heartbeat_seconds(self) -> float:
        """The heartbeat timeout, scaled."""
        return JOB_HEARTBEAT_TIMEOUT_SECONDS / self.world.speedup + FUNCTION_SECONDS

    @property
    def silent_seconds(self) -> float:
        """Time within which a caller receives a fault that only the missing heartbeat shows."""
        return self.heartbeat_seconds + TELLING_SECONDS

    @property
    def training(self) -> Json:
        """The training config of the request."""
        task = {"task": "Isaac-Cartpole-Direct-v0", "numEnvs": 16, "seed": 42}
        if self.mode == "train":
            return task | {"maxIterations": ITERATIONS, "checkpointInterval": 2} | self.asks
        return task | {"mode": "evaluate", "numEpisodes": EPISODES} | self.asks

    # What goes wrong

    def plan(self, *acts: Act, **fields: Any) -> None:
        """Plan faults of the simulator."""
        self.details += [f"{act.do} at {act.at}" for act in acts]
        Plan(acts=acts, **fields).write(plan_path(self.world.plans, self.run_id))

    def rule(self, action: Action, *operations: str, **fields: Any) -> Rule:
        """Apply an action to requests that belong to this run."""
        rule = Rule(action, run_id=self.run_id, operations=operations, **fields)
        self.rules.append(rule)
        return self.world.proxy.add(rule)

    def moment(self, before: int = 0) -> int:
        """Choose an iteration or episode in the middle of the work, with at least `before` others after it."""
        return self.random.randint(2, (ITERATIONS if self.mode == "train" else EPISODES) - 3 - before)

    def choose(self, *options: Any) -> Any:
        """Choose an option, and note it."""
        chosen = self.random.choice(options)
        self.details.append(getattr(chosen, "__name__", str(chosen)))
        return chosen

    def now(self) -> None:
        """Note that the fault happens now."""
        self.fault_times.append(time.time())

    def kill_runner(self) -> None:
        """Kill the runner, as the kernel does."""
        self._signal_runner(signal.SIGKILL)

    def terminate_runner(self) -> None:
        """Stop the runner, as when a Spot instance is reclaimed."""
        self._signal_runner(signal.SIGTERM)

    def kill_simulator(self) -> None:
        """Kill the simulator, as the kernel does."""
        self.now()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if "tests.faults.simulator" in process.cmdline():
                    process.kill()

    def terminate_job(self, reason: str) -> None:
        """Terminate the job, as a user does."""
        self.now()
        self.world.plane.batch.terminate_job(jobId=self.job_id(), reason=reason)

    # How it goes

    def ask_like_vams(self) -> None:
        """Let a workflow like VAMS's start the run, which retries twice. To be called before everything else."""
        self.is_vams = True
        self.use_path(S3Uri(self.world.plane.bucket, _VAMS_PATH.format(self.execution_name)))

    def start(self) -> None:
        """Start the caller, which starts the run."""
        if self.is_vams:
            self._start_vams()
            return
        asked = {"trainingConfig": self.training} | ({"computeConfig": self.compute} if self.compute else {})
        document: Json = {"mode": self.mode, "inputParameters": asked}
        if self.mode == "evaluate":
            document["inputS3AssetFilePath"] = str(self.world.policy)
        self._execute(self.world.plane.deployment.workflow_arn, document)

    def _start_vams(self) -> None:
        plane = self.world.plane
        arn = plane.vams_machine({"trainingConfig": self.training})
        machine = plane.stepfunctions.describe_state_machine(stateMachineArn=arn)
        definition = self.world.scaled(json.loads(machine["definition"]))
        plane.stepfunctions.update_state_machine(stateMachineArn=arn, definition=json.dumps(definition))
        self._execute(arn, plane.vams_input(self.world.policy.key))

    def start_with(self, **limits: float) -> str:
        """Start a caller that only waits, with its own limits, and return its token; launch is not called yet."""
        queue = self.world.sqs.create_queue(QueueName=f"faults-{uuid.uuid4().hex[:12]}")["QueueUrl"]
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": queue, "MessageBody.$": "$$.Task.Token"},
            "End": True,
            **limits,
        }
        machine = self.world.plane.stepfunctions.create_state_machine(
            name=f"faults-{uuid.uuid4().hex[:12]}",
            definition=json.dumps({"StartAt": "Wait", "States": {"Wait": task}}),
            roleArn=ROLE_ARN,
        )
        self._execute(machine["stateMachineArn"], {})
        message = self.world.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"][0]
        return str(message["Body"])

    def message(self, token: str) -> Json:
        """Write what a caller sends to launch."""
        body: Json = {
            "TaskToken": token,
            "inputParameters": {"trainingConfig": self.training},
            "outputS3AssetFilesPath": str(self.output_path),
        }
        if self.mode == "evaluate":
            body["inputS3AssetFilePath"] = str(self.world.policy)
        return {"body": body}

    def invoke(self, verb: str, event: Json) -> Json:
        """Call a function; if the account's concurrency is used up, retry, as every caller does."""
        lambda_ = self.world.plane.lambda_
        again = Retrying(
            retry=retry_if_exception_type(lambda_.exceptions.TooManyRequestsException),
            wait=wait_random(0.5, 2),
            stop=stop_after_delay(_DEADLINE_SECONDS),
            reraise=True,
        )
        answer = again(lambda_.invoke, FunctionName=self.world.functions[verb], Payload=json.dumps(event).encode())
        payload: Json = json.loads(answer["Payload"].read() or b"{}")
        return payload

    def wait(
        self, condition: Callable[[], object], what: str, seconds: float = _DEADLINE_SECONDS, *, pause: float = 0.2
    ) -> None:
        """Wait for a condition that no event announces.

        Args:
            condition: The condition.
            what: A description of it, for people.
            seconds: The longest wait.
            pause: Time between two polls, which load the machine: longer if no fault follows.

        Raises:
            GaveUpError: The condition does not become true.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise GaveUpError(f"waited {seconds:.0f} s in vain until {what}")
            time.sleep(pause)

    def hold_still(self, seconds: float) -> None:
        """Wait while nothing should happen; return early if the caller's execution ends."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.caller()["status"] == "RUNNING":
            time.sleep(0.5)

    def wait_for(self, event: threading.Event, what: str) -> None:
        """Wait until a rule has acted.

        Raises:
            GaveUpError: The rule has not acted.
        """
        if not event.wait(_DEADLINE_SECONDS):
            raise GaveUpError(f"waited in vain until {what}")

    def wait_for_work(self, done: int = 3) -> None:
        """Wait until the simulator has come this far."""
        self.wait(lambda: self.progress() >= done, f"{done} iterations or episodes were done")

    def progress(self) -> int:
        """Return how far the simulator is, from its own log."""
        directory = self.world.directory_of(self.run_id)
        with contextlib.suppress(OSError):
            if directory is not None:
                lines = (directory / "simulator.log").read_text(errors="replace").splitlines()
                return sum(line.startswith(("Trained", "Evaluated")) for line in lines)
        return 0

    def job_id(self) -> str:
        """Wait for the run's job, and return its id."""
        self.wait(lambda: (record := self.record) is not None and record.job_id is not None, "the run had a job")
        record = self.record
        assert record is not None
        return record.job_id or ""

    def inner_execution(self) -> str:
        """Wait for the inner execution, and return its ARN."""
        self.wait(lambda: (record := self.record) is not None and record.execution_arn, "the run had an execution")
        record = self.record
        assert record is not None
        return record.execution_arn or ""

    def caller(self) -> Json:
        """Describe the caller's execution."""
        assert self.execution_arn is not None
        return self.world.plane.describe(self.execution_arn)

    def processes(self) -> list[psutil.Process]:
        """List the run's processes: by their command line, their directory or their job."""
        jobs: Collection[str] = {
            str(entry["batch_job"]) for entry in self.ledger if entry["kind"] in ("runner", "node")
        }
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if (
                    self.run_id in " ".join(process.cmdline())
                    or Path(process.cwd()).name == self.run_id
                    or (jobs and process.environ().get("AWS_BATCH_JOB_ID") in jobs)
                    or any(self.run_id in process.environ().get(name, "") for name in _OF_JOBS)
                ):
                    found.append(process)
        return found

    def inner_executions(self) -> Sequence[Json]:
        """List every execution that the run ever had."""
        pages = self.world.plane.stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=self.world.plane.deployment.pipeline_arn
        )
        return [found for page in pages for found in page["executions"] if found["name"].startswith(self.run_id)]

    def close(self) -> None:
        """End everything of the run, whatever its outcome."""
        for rule in self.rules:
            self.world.proxy.remove(rule)
        executions = [self.execution_arn] if self.execution_arn else []
        executions += [found["executionArn"] for found in self.inner_executions()]
        for execution in executions:
            if self.world.plane.describe(execution)["status"] == "RUNNING":
                self.world.plane.stepfunctions.stop_execution(executionArn=execution)
        for job in self.jobs:
            if not job.has_ended:
                self.world.jobs.stop(job.id, "the campaign goes on")
        for undo in self.at_end:
            undo()

    def _execute(self, machine_arn: str, document: Json) -> None:
        answer = self.world.plane.stepfunctions.start_execution(
            stateMachineArn=machine_arn, name=self.execution_name, input=json.dumps(document)
        )
        self.execution_arn = answer["executionArn"]

    def _signal_runner(self, number: signal.Signals) -> None:
        self.now()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if "tests.faults.job" in process.cmdline():
                    process.send_signal(number)
