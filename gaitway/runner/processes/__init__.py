"""The simulator's processes: on one GPU, on several, on several nodes."""
