"""The page that tells how a run went, `report.html`, and the one that compares several.

Neither AWS nor pandas is needed: this is part of the runner's code, and of the Lambda functions'.
"""

from gaitway.report.page import render

__all__ = ["render"]
