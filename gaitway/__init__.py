"""Gaitway: from a robot-learning idea to a trained, evaluated, deployable policy on AWS."""
