"""Settings of the agents that are described in YAML."""
