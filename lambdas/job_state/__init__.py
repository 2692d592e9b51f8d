"""job_state: tells a run at once that its job ended without a word, or that its caller has gone."""
