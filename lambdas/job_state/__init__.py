"""job_state: reports to a run at once that its job ended without a report, or that its caller has ended."""
