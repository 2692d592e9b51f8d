"""submit_job: hands a run to AWS Batch."""
