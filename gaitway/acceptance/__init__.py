"""`gaitway acceptance`: whether a deployment does what it promises, shown one check after the other.

A check is a module in `gaitway.acceptance.checks` and a line there. It says what it needs, costs and leaves, looks at
the deployment, and a function without AWS decides about what it saw.
"""
