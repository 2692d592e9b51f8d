"""What the command line, the acceptance checks and the tests do with a deployment."""
