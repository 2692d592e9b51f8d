"""What the pipeline costs, measured against the same work done without it: `python -m bench`, or `make bench`."""
