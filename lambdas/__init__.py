"""The functions of the pipeline, one folder per verb: a thin handler and its logic. None imports another."""
