"""Define the settings of the command line, and the commands that combine harvesters and publisher."""
