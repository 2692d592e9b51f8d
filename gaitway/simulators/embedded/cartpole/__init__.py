"""The cart-pole: its dynamics, the two tasks that Isaac Lab registers for it, and how it is drawn."""
