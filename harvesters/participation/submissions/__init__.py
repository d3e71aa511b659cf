"""Submissions of stakeholders, by HTTP and by form: moderated, then harvested like any source."""
