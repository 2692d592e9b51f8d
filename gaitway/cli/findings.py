"""What `gaitway doctor` finds out."""

from __future__ import annotations

from typing import Literal

from gaitway.contracts.model import Model


class Finding(Model):
    """What was found out about one thing."""

    subject: str
    state: Literal["ok", "problem", "note"]
    detail: str
    """What was found; for a problem, also how to fix it. A note is worth knowing, but does not prevent runs."""
