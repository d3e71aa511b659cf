"""JSON documents and paged JSON interfaces."""
