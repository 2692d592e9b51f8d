"""The fault campaign: real processes on the real embedded AWS, and what goes wrong between them.

`scenarios/` says what goes wrong, `check.py` what must hold afterwards, `campaign.py` goes through them.
"""
