"""Many runs at once: what the pipeline costs in time and money beside the simulation. See `__main__.py`."""
