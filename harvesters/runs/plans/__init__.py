"""Plans of what a run would change: limits, removals and undo."""
