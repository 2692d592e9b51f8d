"""Many runs at once: what the pipeline adds to the simulation in time and money. See `__main__.py`."""
