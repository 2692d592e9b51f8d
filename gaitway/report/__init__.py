"""The page about one run, `report.html`, and the page that compares several.

Neither AWS nor pandas is needed: this is part of the runner's code, and of the Lambda functions'.
"""

from gaitway.report.comparison import ComparedRun, comparison_document, render_comparison
from gaitway.report.page import render
from gaitway.report.reported_run import ReportedRun

__all__ = ["ComparedRun", "ReportedRun", "comparison_document", "render", "render_comparison"]
