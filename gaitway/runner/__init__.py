"""The job: prepare, simulate, observe, judge, upload, report. Read `run.py` first."""
