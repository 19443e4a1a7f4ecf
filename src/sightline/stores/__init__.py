"""What must never be lost: the ledger of answers and events, and the queue of areas."""
