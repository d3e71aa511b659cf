"""Tools, resources and prompts for AI assistants, by the Model Context Protocol."""
