"""What a run would change: the plan, its limits, decisions about it, removals and undo."""
