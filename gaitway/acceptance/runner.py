"""Run checks one after the other, and record the outcome of each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from gaitway.acceptance.check import CheckFailedError, Findings, NotShownError
from gaitway.acceptance.links import execution_link
from gaitway.acceptance.record import AcceptanceRecord, CheckRecord, RunEvidence, Status
from gaitway.formatting import dollars

if TYPE_CHECKING:
    from gaitway.acceptance.plan import Planned
    from gaitway.acceptance.site import Site
    from gaitway.client.runs import StartedRun

_CANCEL_SECONDS = 60.0
_INTERRUPTED = "the user interrupted the checks"


class Audience(Protocol):
    """Notified of each check."""

    def begins(self, number: int, planned: Planned) -> None:
        """A check begins."""
        ...

    def ended(self, number: int, check: CheckRecord) -> None:
        """A check has ended, or was not started."""
        ...


class Acceptance:
    """The checks of one plan.

    Args:
        site: The deployment.
        planned: The checks to run.
        record: The record as before the first check; it grows.
        audience: Notified of each check.
        errors: Exceptions that are findings about the deployment, and not bugs of ours.
        explain: Returns the message for such an exception.
        save: Called with the record after each check.
    """

    def __init__(
        self,
        site: Site,
        planned: Sequence[Planned],
        record: AcceptanceRecord,
        audience: Audience,
        errors: tuple[type[BaseException], ...],
        explain: Callable[[BaseException], str],
        save: Callable[[AcceptanceRecord], None],
    ) -> None:
        self._site = site
        self._planned = planned
        self._record = record
        self._audience = audience
        self._errors = errors
        self._explain = explain
        self._save = save

    def run(self) -> AcceptanceRecord:
        """Run the checks; after an interruption the runs of the current check are cancelled, and no other starts."""
        for number, planned in enumerate(self._planned, start=1):
            reason = self._reason_not_to_run(planned)
            if planned.not_here is not None:
                self._add(number, _unrun(planned, Status.NOT_HERE, planned.not_here))
            elif reason is not None:
                self._add(number, _unrun(planned, Status.NOT_RUN, reason))
            else:
                self._audience.begins(number, planned)
                self._add(number, self._check(planned))
        self._record = self._record.model_copy(update={"ended_at": datetime.now(UTC)})
        self._save(self._record)
        return self._record

    def _reason_not_to_run(self, planned: Planned) -> str | None:
        if self._record.is_interrupted:
            return _INTERRUPTED
        passed = {check.name for check in self._record.checks if check.status is Status.PASSED}
        if missing := [need for need in planned.check.needs if need not in passed]:
            return f"needs {' and '.join(missing)}, which did not pass"
        budget = self._record.budget_usd
        if budget is not None and self._record.cost_usd + planned.estimated_usd > budget:
            left = max(0.0, budget - self._record.cost_usd)
            return f"would cost about {dollars(planned.estimated_usd)}, and {dollars(left)} are left of --budget"
        return None

    def _check(self, planned: Planned) -> CheckRecord:
        check, findings, began_at = planned.check, Findings(), datetime.now(UTC)
        already = len(self._site.started)
        status, reason = Status.PASSED, None
        try:
            check.run(self._site, findings)
        except CheckFailedError as error:
            status, reason = Status.FAILED, str(error)
        except NotShownError as error:
            status, reason = Status.NOT_RUN, str(error)
        except KeyboardInterrupt:
            status, reason = Status.NOT_RUN, _INTERRUPTED
            self._record = self._record.model_copy(update={"is_interrupted": True})
        except self._errors as error:
            status, reason = Status.FAILED, self._explain(error)
        started = self._site.started[already:]
        if status is not Status.PASSED:
            # A check that fails half-way leaves no run that is paid for.
            with contextlib.suppress(KeyboardInterrupt, *self._errors):
                self._cancel(started)
        runs = [self._evidence(run) for run in started]
        known = [run.usd for run in runs if run.usd is not None]
        return CheckRecord(
            name=check.name,
            title=check.title,
            status=status,
            reason=reason,
            leaves=check.leaves,
            estimated_usd=planned.estimated_usd,
            cost_usd=sum(known) if len(known) == len(runs) else None,
            began_at=began_at,
            ended_at=datetime.now(UTC),
            evidence=findings.evidence,
            excerpts=findings.excerpts,
            runs=runs,
        )

    def _add(self, number: int, check: CheckRecord) -> None:
        # A cost that is not known is counted as estimated.
        spent = 0.0 if check.began_at is None else check.estimated_usd if check.cost_usd is None else check.cost_usd
        self._record = self._record.model_copy(
            update={"checks": [*self._record.checks, check], "cost_usd": self._record.cost_usd + spent}
        )
        self._save(self._record)
        self._audience.ended(number, check)

    def _cancel(self, started: Sequence[StartedRun]) -> None:
        runs = self._site.runs
        going_on = [found for run in started if not (found := runs.found(run)).record.state.ended]
        for run in going_on:
            runs.cancel(run)
        give_up_at = time.monotonic() + _CANCEL_SECONDS
        for run in going_on:
            with self._site.progress.waiting(f"Cancelling {run.run_id}"):
                while not runs.look_again(run).record.state.ended and time.monotonic() < give_up_at:
                    time.sleep(0.5)

    def _evidence(self, run: StartedRun) -> RunEvidence:
        record = None
        with contextlib.suppress(*self._errors):
            record = self._site.runs.record(run.run_id)
        return RunEvidence(
            run_id=run.run_id,
            execution_arn=run.execution_arn,
            job_id=record.job_id if record else None,
            output_files=str(run.output_files),
            usd=record.cost.usd if record and record.cost else None,
            link=execution_link(self._site, run.execution_arn),
        )


def _unrun(planned: Planned, status: Status, reason: str) -> CheckRecord:
    return CheckRecord(
        name=planned.check.name,
        title=planned.check.title,
        status=status,
        reason=reason,
        leaves=planned.check.leaves,
        estimated_usd=planned.estimated_usd,
    )
