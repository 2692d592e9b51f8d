"""The robots and grounds of Isaac Lab's tasks: USD files below one root, made, fetched or missed in words.

In the order in which a simulator uses this::

    assets = Assets(set_roots(os.environ))  # before Isaac Lab is imported, which reads the variables then
    keep_kernels(os.environ)  # gaitway.simulators.isaaclab3.kernels; before Warp is imported
    assets.watch()  # Isaac Lab's own searches are answered from here on
    assets.require(task, environment_config)  # an error in words, before anything is built
    with assets.explained(task):  # and for what only the task's code names
        gymnasium.make(task, cfg=environment_config)
"""
