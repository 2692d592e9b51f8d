"""What an attempt reports while it runs, and at its end."""
