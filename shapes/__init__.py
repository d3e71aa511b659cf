"""The rules: SHACL shapes and the one function that judges by them."""
