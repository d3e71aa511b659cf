"""The left wing's commands, a file for each noun."""
