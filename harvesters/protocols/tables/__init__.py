"""Tables: CSV files and spreadsheets."""
