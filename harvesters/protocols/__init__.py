"""Read the records of each interface that can be harvested: one module a protocol."""
