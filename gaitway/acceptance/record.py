"""`acceptance.json`: the checks, their outcomes, and the evidence."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field

from gaitway.contracts.model import Document, Stored, UserModel


class Status(StrEnum):
    """The outcome of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
    """No result: a check that it needs did not pass, the budget was too small, or the user interrupted."""
    NOT_HERE = "not here"
    """It makes no sense on the embedded AWS."""


class Evidence(UserModel, Stored):
    """A fact by which a check was decided."""

    label: str
    value: str
    link: str | None = None
    """Where it can be seen in the AWS console."""


class Excerpt(UserModel, Stored):
    """Lines of a log, or of another text."""

    title: str
    text: str


class RunEvidence(UserModel, Stored):
    """A run that a check started."""

    run_id: str
    execution_arn: str
    job_id: str | None = None
    output_files: str
    usd: float | None = None
    """What it has cost; None where no price is known."""
    link: str | None = None
    """Its execution in the AWS console."""


class CheckRecord(UserModel, Stored):
    """One check."""

    name: str
    title: str
    status: Status
    reason: str | None = None
    """Why it did not pass."""
    leaves: str
    """What stays behind."""
    estimated_usd: float
    cost_usd: float | None = None
    """What its runs have cost; None where that is not known, or it did not begin."""
    began_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    evidence: list[Evidence] = Field(default_factory=list)
    excerpts: list[Excerpt] = Field(default_factory=list)
    runs: list[RunEvidence] = Field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """For how long it ran."""
        if self.began_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.began_at).total_seconds()


class AcceptanceRecord(UserModel, Document):
    """All of it."""

    place: str
    """The embedded AWS, or the account of a profile."""
    account: str
    region: str
    deployed_version: str | None
    """The sources that were deployed."""
    version: str
    """Digest of the command's own sources."""
    began_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    is_interrupted: bool = False
    budget_usd: float | None = None
    estimated_usd: float
    cost_usd: float
    """What the runs have cost, as far as that is known."""
    checks: list[CheckRecord]

    def count(self, status: Status) -> int:
        """How many checks came out so."""
        return sum(check.status is status for check in self.checks)

    @property
    def has_passed(self) -> bool:
        """Whether everything passed that makes sense there."""
        return all(check.status in (Status.PASSED, Status.NOT_HERE) for check in self.checks)
