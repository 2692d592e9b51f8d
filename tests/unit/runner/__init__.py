"""The job's runner, with a scripted simulator in the place of Isaac Lab."""
