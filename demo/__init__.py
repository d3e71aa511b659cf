"""The demo: simulated registries with records from a seed, for `make run`, tests and benchmarks."""
