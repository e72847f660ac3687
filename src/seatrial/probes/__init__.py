"""Asking the world while a trial runs: Prometheus, HTTP, Kubernetes, commands.

What they read goes to `seatrial.samples`; nothing here judges. Each failure to read is a reason in
words, never a number.
"""
