"""A simulator that needs no GPU and no Isaac Sim: Isaac Lab's cart-pole tasks as torch-vectorised environments.

It takes the place of Isaac Lab's train.py and play.py behind the same contract (`gaitway.contracts.simulation`), with
Isaac Lab's observations, rewards, terminations, resets, timing and agent settings, and with the real RL library.
"""
