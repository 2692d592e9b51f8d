"""heartbeat: keeps runs alive whose jobs wait, and finds those that nobody would end."""
