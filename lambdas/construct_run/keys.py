"""Keys of S3 as people copy them."""

from __future__ import annotations

import unicodedata
from typing import Literal
from urllib.parse import quote, unquote, unquote_plus

from gaitway.contracts.model import MAX_KEY_BYTES

_UNICODE_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


def other_spellings(key: str) -> dict[str, str]:
    """List the keys that a key may stand for, each with what is different about the given one.

    Consoles, browsers and the events of S3 write keys URL-encoded, partly with a plus for a space
    (docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html); and what looks like the same
    letter has another code where a key was typed on another system.
    """
    # Of equal spellings the last one describes it.
    decoded = {
        unquote_plus(key, errors="replace"): "is URL-encoded, with + for spaces",
        unquote(key, errors="replace"): "is URL-encoded",
        key.strip(): "has spaces or line breaks around it",
        key: "",
    }
    found = dict(decoded)
    for spelt, how in decoded.items():
        for form in _UNICODE_FORMS:
            normalised = f"{how}, and" if how else "is"
            found.setdefault(unicodedata.normalize(form, spelt), f"{normalised} in another Unicode normalisation")
    # Some tools store the encoded text itself as the key.
    found.setdefault(quote(key), "is not URL-encoded")
    return {other: how for other, how in found.items() if other != key and 0 < len(other.encode()) <= MAX_KEY_BYTES}
