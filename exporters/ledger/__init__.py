"""What the recorder books into the ledger of the budgets."""
