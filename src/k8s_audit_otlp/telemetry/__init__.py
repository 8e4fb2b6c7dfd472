"""What the agent says of itself: metrics, health, notices and receipts."""
