"""The inbox for notifications of other installations, by Linked Data Notifications and COAR Notify."""
