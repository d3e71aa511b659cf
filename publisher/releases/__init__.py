"""Build, sign and verify releases: numbered states of all published data as files, which can be
mirrored, cited and queried.
"""
