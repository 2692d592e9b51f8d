"""What is done around an RL library's training in the same way, whatever simulates its environments."""
