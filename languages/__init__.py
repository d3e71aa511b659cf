"""In which of the six languages of the United Nations a reader is answered, and the words of the pages in each."""
