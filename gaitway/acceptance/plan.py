"""Which checks run, in which order, for how much."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaitway.acceptance.check import Check

if TYPE_CHECKING:
    from gaitway.acceptance.prices import Prices
    from gaitway.contracts.backends import Backend


class UnknownCheckError(Exception):
    """There is no check of that name: the message lists the existing ones."""


@dataclass(frozen=True)
class Planned:
    """A check that is to run."""

    check: Check
    estimated_usd: float
    minutes: float
    not_here: str | None
    """Why it does not run at this place."""


def plan(
    checks: Sequence[Check], only: Iterable[str], prices: Prices, backends: Collection[Backend], *, is_embedded: bool
) -> list[Planned]:
    """Choose checks, and the checks that they need; estimate each.

    Args:
        checks: All existing checks, in order.
        only: Names of those to run; empty for all except those that run only by name, or on a back end that the
            deployment does not have.
        prices: Prices of the machines.
        backends: Those of the deployment.
        is_embedded: Whether the deployment is in the embedded AWS.

    Raises:
        UnknownCheckError: There is no check of one of these names.
    """
    by_name = {check.name: check for check in checks}
    wanted = set(only)
    if unknown := sorted(wanted - by_name.keys()):
        raise UnknownCheckError(f"no check is named {', '.join(map(repr, unknown))}, allowed: {', '.join(by_name)}")
    names = wanted or {check.name for check in checks if not check.only_by_name and check.effort.backend in backends}
    while missing := {need for name in names for need in by_name[name].needs} - names:
        names |= missing
    return [_planned(check, prices, backends, is_embedded=is_embedded) for check in checks if check.name in names]


def _planned(check: Check, prices: Prices, backends: Collection[Backend], *, is_embedded: bool) -> Planned:
    not_here = check.not_here if is_embedded else None
    if check.effort.backend not in backends:
        not_here = f"the deployment's setting `backends` has no {check.effort.backend}"
    if not_here is not None:
        return Planned(check, 0.0, 0.0, not_here)
    return Planned(
        check, prices.usd(check.effort), check.seconds_here / 60 if is_embedded else check.effort.minutes, None
    )
