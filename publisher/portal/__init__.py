"""The pages of the portal: each module has the routes and the data of its pages."""
