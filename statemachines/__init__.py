"""The state machines, as documents in Amazon States Language: `python -m statemachines FOLDER` writes them there.

`pipeline.py` and `workflow.py` each build one, from the small parts in `states.py`. Every time limit in them is from
`gaitway.contracts.limits`. A deployment's own values are substitutions (`${...}`), which CloudFormation replaces.
"""
