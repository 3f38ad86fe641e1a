"""Commands that measure and judge, one file each."""
