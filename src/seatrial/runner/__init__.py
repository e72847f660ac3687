"""The life of a trial: planned, carried out in its place, judged, kept."""
