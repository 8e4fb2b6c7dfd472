"""State on disk: checkpoint, positions, outbox, lock; and the ledger of what is settled."""
