"""Code that all simulators share: evaluation, export, progress, training in several processes."""
