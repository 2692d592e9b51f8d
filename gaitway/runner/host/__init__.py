"""Where an attempt runs: its environment, machine, session and disks."""
