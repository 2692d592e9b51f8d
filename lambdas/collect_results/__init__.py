"""collect_results: checks what a run left behind, and tells its caller."""
