"""Text: the index of titles and descriptions, which follows the journal and stands beside each generation of the shelf."""
