"""submit_job: makes sure that a run has a job."""
