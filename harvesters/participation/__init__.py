"""Contributions of people: submissions, notifications and prizes."""
