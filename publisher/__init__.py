"""The publisher: load the journal into stores and indexes, and serve pages, data, queries, feeds
and releases.
"""
