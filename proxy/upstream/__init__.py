"""The side that faces the provider: connections, HTTP/1.1 framing, TLS, timeouts."""
