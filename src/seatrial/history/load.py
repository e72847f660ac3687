"""temp"""
from __future__ import annotations
import pickle
from dataclasses import dataclass
from seatrial.history.builder import HistoryBuilder
@dataclass
class L:
    history: object
    truncated: bool
def read_arrow(path): return L(HistoryBuilder().extend(pickle.load(open(path,"rb"))).history(), False)
def load(path, form="auto"): return read_arrow(path/"history.arrow" if path.is_dir() else path).history
lift_keys=export_edn=export_jsonl=lambda *a: a[0]
