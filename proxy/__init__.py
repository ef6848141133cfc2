"""The data plane: accept, identify, decide, forward, observe, account, record."""
