"""An audit log as kube-apiserver writes it, and what is done to its files."""
