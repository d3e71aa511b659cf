"""The pages of the portal: each module has the data of a page, `routes` has its route."""
