"""The EC2 instance types on which Isaac Sim runs: what they have, and what they cost."""
