"""temp"""
from __future__ import annotations
import pickle
from seatrial.history.builder import HistoryBuilder
class HistoryWriter:
    def __init__(self, path):
        self.b = HistoryBuilder(); self.path = path
    def append(self, op): return self.b.append(op)
    def flush(self): pass
    def close(self):
        pickle.dump(list(self.b.history().ops()), open(self.path, "wb"))
