"""What may be wrong with a database."""


class SchemaError(Exception):
    """The database cannot be used as it is; the text is one sentence for the operator."""
