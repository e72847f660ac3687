"""The lab on real processes, inside real sandboxes."""
