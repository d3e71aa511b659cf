"""APIs for programs other than browsers: reconciliation and AI assistants."""
