"""The commands and settings of the command line."""
