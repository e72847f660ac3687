"""The kinds of faults: what they mean, in the lab and on Kubernetes."""
