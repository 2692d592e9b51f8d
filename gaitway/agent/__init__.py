"""The agent of a cluster: takes orders for jobs from a queue, and reports what becomes of them.

It runs beside the cluster's scheduler and connects to AWS only; nothing connects to it. It keeps nothing: which jobs
there are says the scheduler, and what was reported says the run table. So it may be killed at any moment.
"""
