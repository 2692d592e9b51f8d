"""The simulator's inputs: fetch them, unpack them, and describe them in a file."""
