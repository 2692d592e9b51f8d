"""heartbeat: keeps waiting runs alive, and finds runs and jobs that nothing else would end."""
