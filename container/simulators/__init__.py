"""The simulators that the runner can start: each is a program of its own, in a process of its own."""
