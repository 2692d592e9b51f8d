"""The page that tells how a run went, `report.html`, and the one that compares several.

Neither AWS nor pandas is needed: this is part of the runner's code, and of the Lambda functions'.
"""

from gaitway.report.comparison import ComparedRun, comparison_document, render_comparison
from gaitway.report.page import render
from gaitway.report.subject import Subject

__all__ = ["ComparedRun", "Subject", "comparison_document", "render", "render_comparison"]
