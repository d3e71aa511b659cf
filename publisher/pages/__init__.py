"""What people see, and the descriptions that pages and data are both drawn from."""
