"""What people come for, drawn from the tables and told in their language."""
