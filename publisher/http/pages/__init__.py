"""The HTML pages: templates, charts, navigation and errors."""
