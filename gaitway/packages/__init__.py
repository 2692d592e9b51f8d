"""Packages with custom tasks: what is in one, what it depends on, what an image has. None of its code runs here.

The job uses this to put a package where its simulator finds it; construct_run to refuse, before a machine is paid for,
what cannot work.
"""
