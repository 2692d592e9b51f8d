"""handle_failure: ends a run that failed, and tells its caller why."""
