"""Figures: numbers as drawings in SVG and as data; pages show them inline, a report takes them with their style."""
