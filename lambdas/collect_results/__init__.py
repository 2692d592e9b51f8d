"""collect_results: the steps after a job that succeeded: check its results, publish them, answer the run's caller."""
