"""docs/acceptance.md and the checks themselves."""

import re
from typing import get_args

from gaitway.acceptance.checks import CHECKS
from gaitway.acceptance.plan import plan
from gaitway.acceptance.prices import Prices
from gaitway.contracts.backends import Backend
from gaitway.settings import Settings
from handbook.reference import DOCS


def test_the_page_has_every_check_in_order_with_its_time_and_price() -> None:
    page = (DOCS / "acceptance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| ([\d.]+) \| ([\d.]+) \|$", page, re.MULTILINE)
    settings = Settings()
    prices = Prices(settings.instance_types, {}, {"sagemaker": settings.sagemaker_types[1]})
    planned = plan(CHECKS, [check.name for check in CHECKS], prices, get_args(Backend), is_embedded=False)
    assert rows == [(one.check.name, f"{one.minutes:g}", f"{one.estimated_usd:.2f}") for one in planned]
