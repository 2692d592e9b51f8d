"""construct_run: resolves a request to the specification of its run."""
