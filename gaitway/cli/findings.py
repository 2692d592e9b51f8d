"""What `gaitway doctor` finds out."""

from __future__ import annotations

from typing import Literal

from gaitway.contracts.model import Model


class Finding(Model):
    """What was found out about one thing."""

    subject: str
    state: Literal["ok", "problem", "note"]
    detail: str
    """What there is; of a problem, what is wrong and what mends it. A note stops no run, but is worth knowing."""
