"""Isaac Lab of either release: its training watched from within, and its environments in the form of an evaluation."""
