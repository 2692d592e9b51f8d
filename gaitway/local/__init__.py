"""The embedded AWS: MiniStack, what it lacks, and the launcher that deploys our stacks to it."""
