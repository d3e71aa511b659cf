"""The demo: simulated registries, seeded, for `make run`, for tests and for benchmarks."""
