"""The left wing, IN: registries become records, initiatives, verdicts and journal entries."""
