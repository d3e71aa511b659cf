"""Take notifications of other installations, as an inbox of Linked Data Notifications with the
patterns of COAR Notify.
"""
