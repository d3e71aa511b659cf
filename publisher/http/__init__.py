"""HTTP: what is asked for, in which form it is given, and what every answer tells beside it."""
