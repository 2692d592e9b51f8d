"""The agent's work: orders to the scheduler, and the scheduler's states to AWS."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gaitway.agent.scheduler import OrderRefusedError, Scheduler, SchedulerError
from gaitway.compute import ends
from gaitway.compute.cluster_job import JobReport
from gaitway.compute.ends import End
from gaitway.compute.jobs import Job, JobState
from gaitway.contracts.cluster import EVENT_SOURCE, EVENT_TYPE, StopOrder, SubmitOrder, name_of_job, read_order

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient

    from gaitway.agent.node_logs import NodeLogs
    from gaitway.aws.cluster_jobs import ClusterJobTable, JobItem
    from gaitway.aws.orders import Orders

logger = logging.getLogger(__name__)

MISSING_SECONDS = 60.0
"""A job that the scheduler does not name for this time is lost: a scheduler that restarts first reads its own state."""


class ReportError(Exception):
    """EventBridge did not take an event: the state is reported later."""


class Agent:
    """The agent of one cluster.

    Args:
        scheduler: The cluster's.
        table: Where the jobs of clusters are kept.
        orders: The queue of orders.
        events: An EventBridge client.
        logs: Copies what the nodes of jobs say; None where something else does.
        monotonic: Seconds since some moment.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        table: ClusterJobTable,
        orders: Orders,
        events: EventBridgeClient,
        logs: NodeLogs | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scheduler = scheduler
        self._table = table
        self._orders = orders
        self._events = events
        self._logs = logs
        self._monotonic = monotonic
        # Only so that nothing is reported again and again: after a restart everything is looked at once more.
        self._seen: dict[str, Job] = {}
        self._missing_since: dict[str, float] = {}

    def take_orders(self, wait_seconds: int) -> None:
        """Wait for orders, and carry them out.

        An order that fails stays in the queue, which gives it again, and after some times puts it aside.
        """
        for message in self._orders.receive(wait_seconds):
            try:
                self._carry_out(read_order(message.text))
            except ValidationError as error:
                # Of a newer version: an agent that is updated in time can still read it.
                logger.error("an order that this version cannot read is left in the queue: %s", error)  # noqa: TRY400
            except SchedulerError as error:
                logger.warning("an order is left in the queue: %s: %s", error, message.text)
            else:
                self._orders.done(message)

    def report_states(self) -> None:
        """Report every job whose state has changed, and those that the scheduler has lost.

        Raises:
            SchedulerError: The scheduler does not answer.
            ReportError: EventBridge did not take an event.
        """
        jobs = {job.id: job for job in self._scheduler.states()}
        for found in jobs.values():
            seen = self._seen.get(found.id)
            if seen is not None and seen.has_ended and found.has_ended:
                continue
            # Before the end is reported: who waits for that then finds all of the log.
            log = self._logs.copy(found.id) if self._logs is not None else None
            job = replace(found, log=log or found.log)
            if job != seen:
                self._report(job)
                self._seen[job.id] = job
        self._seen = {job_id: job for job_id, job in self._seen.items() if job_id in jobs}
        self._report_missing(jobs.keys())

    def _carry_out(self, order: SubmitOrder | StopOrder) -> None:
        item = self._table.get(order.job_id)
        if item is None or item.has_ended:
            logger.warning("%s: nothing to do, the job has ended, or was never ordered", order.job_id)
        elif isinstance(order, StopOrder):
            self._stop(item, order.reason)
        else:
            self._submit(item, order)

    def _submit(self, item: JobItem, order: SubmitOrder) -> None:
        """Submit a job, unless it was: by this order, before an agent ended that had not yet recorded it."""
        if item.is_accepted:
            return
        if self._scheduler.find(order.job_id) is None:
            if item.stop_reason is not None:
                self._end(item, ends.STOPPED, item.stop_reason)
                return
            try:
                self._scheduler.submit(order)
            except OrderRefusedError as error:
                self._end(item, ends.REFUSED, str(error))
                return
            logger.info("%s: submitted", order.job_id)
        self._table.accept(order.job_id)

    def _stop(self, item: JobItem, reason: str) -> None:
        logger.info("%s: to be ended: %s", item.job_id, reason)
        if item.is_accepted or self._scheduler.find(item.job_id) is not None:
            self._scheduler.stop(item.job_id, reason)
        else:
            # Its submission was put aside.
            self._end(item, ends.STOPPED, reason)

    def _report(self, job: Job) -> None:
        item = self._table.get(job.id)
        if item is None or item.has_ended:
            return
        if job.has_ended and not job.succeeded and item.stop_reason is not None:
            job = replace(job, end=ends.STOPPED, reason=item.stop_reason)
        self._send(job)

    def _report_missing(self, known: Collection[str]) -> None:
        """Report the end of the jobs that the scheduler had and knows no more."""
        living = [job_id for job_id in self._table.living() if job_id.startswith(f"{self._scheduler.backend}/")]
        now = self._monotonic()
        self._missing_since = {job_id: self._missing_since.get(job_id, now) for job_id in living if job_id not in known}
        for job_id, since in self._missing_since.items():
            item = self._table.get(job_id)
            if item is None or item.has_ended or not item.is_accepted:
                continue
            if item.stop_reason is None and now - since < MISSING_SECONDS:
                continue
            # What is not among the present ones may still be known to have ended.
            job = self._scheduler.find(job_id)
            if job is not None:
                self._report(job)
            elif item.stop_reason is not None:
                # Kubernetes forgets a job that is ended.
                self._end(item, ends.STOPPED, item.stop_reason)
            else:
                self._end(item, ends.JOB_LOST, "")

    def _end(self, item: JobItem, end: End, reason: str) -> None:
        """Report the end of a job that the scheduler does not have."""
        self._send(
            Job(
                id=item.job_id,
                name=name_of_job(item.job_id),
                state=JobState.FAILED,
                service=self._scheduler.service,
                end=end,
                reason=reason,
                created_at=item.created_at,
                ended_at=datetime.now(UTC),
            )
        )

    def _send(self, job: Job) -> None:
        """Report a state, as an event and to the table.

        The event first: an agent that is killed in between reports both again, and an event that comes twice changes
        nothing.
        """
        report = JobReport.of(job).model_dump_json()
        answer = self._events.put_events(
            Entries=[{"Source": EVENT_SOURCE, "DetailType": EVENT_TYPE, "Detail": report, "Resources": [job.id]}]
        )
        # A refused entry is no error of the call: docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents
        if answer["FailedEntryCount"]:
            raise ReportError(f"EventBridge refuses an event of {job.id}: {answer['Entries']}")
        self._table.report(job.id, report, is_end=job.has_ended)
        logger.info("%s: %s%s", job.id, job.state, f" ({job.reason})" if job.reason else "")
