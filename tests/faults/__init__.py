"""The fault campaign: faults between real processes on the real embedded AWS.

`scenarios/` has the faults, `check.py` the checks after each one, and `campaign.py` runs them.
"""
