"""temp"""
class SteadyStateResult: pass
def evaluate(states, history): return ()
