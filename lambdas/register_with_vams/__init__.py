"""register_with_vams: tells VAMS of our pipelines while their stack is deployed."""
