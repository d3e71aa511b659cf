"""The ordered log of changes, shared by harvesters and publisher."""
