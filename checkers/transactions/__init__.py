"""What the transactional checkers share: models, transaction tables, graphs, search, explanations.

The theory is Adya's (PhD thesis, MIT, 1999): a history's transactions form a graph of write-write
(ww), write-read (wr) and read-write (rw) dependencies, and isolation levels forbid kinds of
cycles in it. How the graph is inferred from what clients saw follows Kingsbury and Alvaro ("Elle:
Inferring Isolation Anomalies from Experimental Observations", VLDB 2020).
"""
