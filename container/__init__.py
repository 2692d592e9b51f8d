"""What runs in the job: the runner, and the simulators that it starts."""
