"""What programs, scripts and files write, each in a way of its own: a module for each way."""
