"""Campaigns of minutes to hours that prove what no unit test can; each is a command."""
