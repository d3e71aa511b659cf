"""The harvester: fetch records of registries, map and validate them, and write journal entries."""
