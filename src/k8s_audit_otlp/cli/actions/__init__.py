"""What the commands do: imported when one is called, so that its help need not wait for it."""
