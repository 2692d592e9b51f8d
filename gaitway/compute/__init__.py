"""Where jobs run: the port `Jobs`, its adapters, and what the end of a job means."""
