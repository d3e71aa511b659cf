"""Reports: the stocktaking report of a release, as HTML and PDF, its figures drawn from queries that anyone can put again."""
