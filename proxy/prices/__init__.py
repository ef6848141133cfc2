"""The price book: dated YAML entries that overlay the price library."""
