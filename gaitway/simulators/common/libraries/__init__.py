"""Code around an RL library's training that is the same for every simulator."""
