"""Trainings on the GPUs of one machine: `python -m bench.gpus`."""
