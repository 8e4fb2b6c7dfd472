"""Looks at the whole way from kube-apiserver to the back ends; changes nothing on it."""
