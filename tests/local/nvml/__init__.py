"""A stand-in for NVIDIA's driver: its folder comes first on the path of a runner."""
