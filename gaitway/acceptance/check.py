"""What a check is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaitway.acceptance.record import Evidence, Excerpt
from gaitway.contracts.backends import DEFAULT_BACKEND, Backend

if TYPE_CHECKING:
    from gaitway.acceptance.site import Site

_EXCERPT_LINES = 40


class CheckFailedError(Exception):
    """The deployment does not do what it should: the message says what is wrong, and what to do next."""


class NotShownError(Exception):
    """Nothing can be said, neither good nor bad: the message says why."""


@dataclass
class Findings:
    """What a check has seen; it counts however the check ends."""

    evidence: list[Evidence] = field(default_factory=list)
    excerpts: list[Excerpt] = field(default_factory=list)

    def note(self, label: str, value: object, link: str | None = None) -> None:
        """Write a fact down."""
        self.evidence.append(Evidence(label=label, value=str(value), link=link))

    def quote(self, title: str, lines: list[str]) -> None:
        """Quote the last lines of a text."""
        if lines:
            self.excerpts.append(Excerpt(title=title, text="\n".join(lines[-_EXCERPT_LINES:])))


@dataclass(frozen=True)
class Effort:
    """What a check takes in an account."""

    minutes: float
    """Until it has ended."""
    machine_minutes: float = 0.0
    """For how long each of its machines is paid."""
    nodes: int = 1
    gpus: int = 1
    """Of each machine."""
    backend: Backend = DEFAULT_BACKEND
    """Whose machines they are: a deployment without it does not run the check."""


@dataclass(frozen=True)
class Check:
    """Something that a deployment has to show."""

    name: str
    """The name for `--only`."""
    title: str
    effort: Effort
    leaves: str
    """What stays behind."""
    run: Callable[[Site, Findings], None]
    """Raises `CheckFailedError` or `NotShownError`; else the check has passed."""
    needs: tuple[str, ...] = ()
    """Checks that have to pass before."""
    not_here: str | None = None
    """Why it makes no sense on the embedded AWS; None where it does."""
    seconds_here: float = 1.0
    """What it takes there."""
    only_by_name: bool = False
    """Whether it runs only where `--only` names it."""
