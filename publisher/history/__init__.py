"""History: which entries of the journal touched a graph, and what it held after each of them."""
