"""What the agent says in the stream: notices, receipts, gaps, silence."""
