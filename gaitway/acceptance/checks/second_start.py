"""The same training again, on a machine that has the image and the simulator's caches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaitway.acceptance.check import Check, CheckFailedError, Effort, Findings, NotShownError
from gaitway.acceptance.checks.training import FIRST, note_trial
from gaitway.acceptance.trials import Trial, job_of, start, succeed, training
from gaitway.formatting import short_duration

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_TOLERANCE, _TOLERANCE_SECONDS = 2.0, 10.0
"""Tolerance on the embedded AWS, where nothing is pulled or compiled: other programs on this machine disturb timing."""


@dataclass(frozen=True)
class Start:
    """How a run reached its first iteration."""

    seconds: float
    """From the moment when its job began to wait."""
    pull_seconds: float | None
    """Seconds of it for pulling the image; None if not known."""
    instance: str | None
    """The container instance that it ran on; None on the embedded AWS."""


def judge_second_start(first: Start, second: Start, *, is_embedded: bool) -> str | None:
    """Say what is wrong with a second start; None where nothing is.

    Raises:
        NotShownError: The two cannot be compared.
    """
    if is_embedded:
        if second.seconds > _TOLERANCE * first.seconds + _TOLERANCE_SECONDS:
            return f"the second start took {second.seconds:.0f} s, and the first {first.seconds:.0f} s"
        return None
    if first.instance != second.instance:
        raise NotShownError(
            "the second run was started on another instance, which also had to pull the image: repeat the check, or "
            "set keepWarmInstance"
        )
    if not first.pull_seconds or first.pull_seconds < 30:
        raise NotShownError(
            "the first run was started on an instance that already had the image: wait until that instance is "
            "terminated, and repeat"
        )
    if second.seconds >= first.seconds:
        return (
            f"the second start took {second.seconds:.0f} s and the first {first.seconds:.0f} s, on the same instance: "
            "look at the simulator's caches on its disk (/var/cache/gaitway)"
        )
    return None


def start_of(site: Site, trial: Trial) -> Start:
    """Read how a run started.

    Raises:
        NotShownError: It has not been written down.
    """
    attempts = trial.results.history.attempts if trial.results.history else []
    if not attempts or attempts[0].first_progress_at is None:
        raise NotShownError(f"results.json of {trial.record.run_id} does not contain the time of its first iteration")
    attempt = attempts[0]
    assert attempt.first_progress_at is not None
    pulled = None
    if attempt.image_pull_began_at and attempt.image_pull_ended_at:
        pulled = (attempt.image_pull_ended_at - attempt.image_pull_began_at).total_seconds()
    container = job_of(site, trial.record).get("container", {})
    return Start(
        (attempt.first_progress_at - (attempt.queued_at or attempt.began_at)).total_seconds(),
        pulled,
        container.get("containerInstanceArn"),
    )


def _run(site: Site, findings: Findings) -> None:
    run = start(site, {"trainingConfig": training(site)})
    trial = succeed(site, findings, run, "second start")
    note_trial(site, findings, trial)
    first, second = start_of(site, site.trial(FIRST)), start_of(site, trial)
    for name, one in (("first", first), ("second", second)):
        findings.note(f"{name} start", f"{short_duration(one.seconds)} until the first iteration")
        if one.pull_seconds is not None:
            findings.note(f"{name} pull of the image", short_duration(one.pull_seconds))
        if one.instance is not None:
            findings.note(f"{name} instance", one.instance)
    if problem := judge_second_start(first, second, is_embedded=site.is_embedded):
        raise CheckFailedError(problem)


CHECK = Check(
    name="second-start",
    title="Starts faster the second time",
    effort=Effort(minutes=4, machine_minutes=4),
    leaves="a run's files",
    run=_run,
    needs=(FIRST,),
    seconds_here=8,
)
