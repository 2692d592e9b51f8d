"""Policies are enforced: what MiniStack's own enforcement (AUTH=true) lacks to judge our roles as AWS does.

MiniStack verifies signatures, trust policies, role policies, session policies and bucket policies of what arrives over
HTTP. Supplied here: resources and condition keys that it does not know, and what a state machine or a rule calls inside
of the emulator. Not enforced: what is no AWS request, such as mounting EFS, pulling an image and writing a job's log.
"""

from functools import cache

from gaitway.local.extensions.iam import requests, services


@cache
def register() -> None:
    """Complete MiniStack's enforcement; a second call changes nothing."""
    requests.register()
    services.register()
