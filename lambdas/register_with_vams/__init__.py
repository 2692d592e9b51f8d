"""register_with_vams: registers our pipelines with VAMS while their stack is deployed."""
