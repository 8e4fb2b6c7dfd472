"""An audit log that writes itself, an agent that is killed, and a back end that counts."""
