"""The templates that the pages are filled into. Whatever is put in is escaped: names, logs and diffs are anybody's."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gaitway import words
from gaitway.report.charts import PLANE


def fill(template: str, **values: Any) -> str:  # noqa: ANN401 - what a template takes is its own business
    """Fill a page's template.

    Args:
        template: Name of the file.
        values: What it names.
    """
    return _ENVIRONMENT.get_template(template).render(values)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gaitway.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "dollars": words.dollars,
        "duration": words.short_duration,
        "number": words.number,
        "percent": words.percent,
        "size": words.size,
    }
    script = _source(environment, "page.js")
    environment.globals |= {
        "PLANE": PLANE,
        "style": Markup(_source(environment, "page.css")),  # noqa: S704 - a file of ours
        "script": Markup(script),  # noqa: S704 - a file of ours
        # The page's policy allows this script alone, should another one ever get into it:
        # developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return environment


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


_ENVIRONMENT = _environment()
