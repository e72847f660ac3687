"""Servers that speak MySQL's protocol: the client, and its taxonomy of errors."""
