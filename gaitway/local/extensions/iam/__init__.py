"""Enforcement of policies: what MiniStack's own enforcement (AUTH=true) lacks to check our roles as AWS does.

MiniStack verifies signatures, trust policies, role policies, session policies and bucket policies of requests over
HTTP. Added here: resources and condition keys that it does not know, the keys with which buckets encrypt, calls that a
state machine or a rule makes inside the emulator, and the size limit of session policies. Not enforced: what is not
an AWS request, such as mounting EFS, pulling an image and writing a job's log.
"""

from functools import cache

from gaitway.local.extensions.iam import bucket_keys, denials, requests, services, session_policies


@cache
def register() -> None:
    """Complete MiniStack's enforcement; a second call changes nothing."""
    bucket_keys.register()
    requests.register()
    services.register()
    session_policies.register()
    denials.register()
