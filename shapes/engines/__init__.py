"""Engines: the programs that hold a graph against shapes; all give the same results."""
