"""What crosses a process boundary: the request, the run, its artifacts and its errors. No AWS, no torch."""
