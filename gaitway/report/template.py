"""The templates that the pages are filled into. Whatever is put in is escaped: names, logs and diffs are anybody's."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gaitway import formatting
from gaitway.report.charts import PLANE


def fill(template: str, **values: Any) -> str:  # noqa: ANN401 - what a template takes is its own business
    """Fill a page's template.

    Args:
        template: Name of the file.
        values: Values for the names in it.
    """
    return ENVIRONMENT.get_template(template).render(values)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gaitway.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "dollars": formatting.dollars,
        "duration": formatting.short_duration,
        "number": formatting.number,
        "percent": formatting.percent,
        "size": formatting.size,
    }
    script = _source(environment, "page.js")
    environment.globals |= {
        "PLANE": PLANE,
        "style": Markup(_source(environment, "page.css")),  # noqa: S704 - our own file
        "script": Markup(script),  # noqa: S704 - our own file
        # The page's policy allows only this script, if another one ever got into the page:
        # developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return environment


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


ENVIRONMENT = _environment()
"""What all our pages are made with: their frame, their look, and how they write numbers."""
