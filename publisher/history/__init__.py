"""The change history: which journal entries changed a graph, and its content after each of them."""
