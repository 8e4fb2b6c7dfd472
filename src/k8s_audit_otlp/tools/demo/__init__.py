"""An audit log that writes itself and a back end that counts: for the demo and the tests."""
