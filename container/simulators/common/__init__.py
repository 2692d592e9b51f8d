"""What every simulator does in the same way: evaluate, export, tell its progress, train in several processes."""
