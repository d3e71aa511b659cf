"""The Linked Data Event Stream."""
