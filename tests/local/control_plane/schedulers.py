"""A cluster's scheduler that keeps its jobs in memory, and outlives the agents that use it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gaitway.agent.scheduler import OrderRefusedError, SchedulerError
from gaitway.compute.ends import STOPPED
from gaitway.compute.jobs import Job, JobState
from gaitway.contracts.cluster import SubmitOrder, name_of_job

BACKEND = "desk-cluster"


class AgentKilledError(BaseException):
    """The agent's process is killed: no handler of an exception runs."""


@dataclass
class MemoryScheduler:
    """`Scheduler` without a cluster."""

    backend: str = BACKEND
    service: str = "the desk's cluster"
    submitted: list[SubmitOrder] = field(default_factory=list)
    """All that was ever submitted, in order."""
    jobs: dict[str, Job] = field(default_factory=dict)
    refuses: str | None = None
    is_down: bool = False
    kills_the_agent: bool = False
    """Right after it has accepted a job."""

    def submit(self, order: SubmitOrder) -> None:
        """Accept a job."""
        self._answer()
        if self.refuses:
            raise OrderRefusedError(self.refuses)
        self.submitted.append(order)
        self.jobs[order.job_id] = Job(
            id=order.job_id,
            name=name_of_job(order.job_id),
            state=JobState.WAITING,
            service=self.service,
            created_at=datetime.now(UTC),
        )
        if self.kills_the_agent:
            self.kills_the_agent = False
            raise AgentKilledError

    def find(self, job_id: str) -> Job | None:
        """Find a job."""
        self._answer()
        return self.jobs.get(job_id)

    def states(self) -> list[Job]:
        """Describe all jobs."""
        self._answer()
        return list(self.jobs.values())

    def stop(self, job_id: str, reason: str) -> None:
        """Cancel a job."""
        self._answer()
        assert reason
        if job_id in self.jobs and not self.jobs[job_id].has_ended:
            self.becomes(job_id, JobState.FAILED, end=STOPPED, reason="cancelled")

    def becomes(self, job_id: str, state: JobState, **fields: object) -> None:
        """Bring a job into another state."""
        changed = replace(self.jobs[job_id], state=state, **fields)  # type: ignore[arg-type]
        self.jobs[job_id] = replace(changed, ended_at=datetime.now(UTC)) if changed.has_ended else changed

    def _answer(self) -> None:
        if self.is_down:
            raise SchedulerError("the controller does not answer")
