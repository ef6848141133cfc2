"""References that are made of the code: every key of the configuration and of policies, every column of the store."""
