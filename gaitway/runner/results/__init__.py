"""What a run leaves behind: checkpoints, metrics and documents, uploaded and checked."""
