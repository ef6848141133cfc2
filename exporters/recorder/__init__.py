"""The recorder: follows the journals, prices what it finds, and hands it to every sink exactly once."""
