"""The log on disk as segments; bytes become blocks of whole lines."""
