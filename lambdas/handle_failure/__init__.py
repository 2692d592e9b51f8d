"""handle_failure: ends a run that failed, and reports the cause to its caller."""
