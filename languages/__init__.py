"""Choose the language of a response among the six of the United Nations, and translate texts of
pages.
"""
