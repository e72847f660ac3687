"""temp"""
def rate(g, r, seed=0): return g
