"""The report of a trial: one self-contained HTML file."""
