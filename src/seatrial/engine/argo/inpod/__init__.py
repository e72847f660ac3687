"""Programs that are carried out inside of pods (`python -m seatrial.engine.argo.inpod.NAME`).

Each is a probe of an effect: it looks from where the node is, knows nothing of how a fault is
brought about, prints JSON and leaves nothing behind. They run in the container that shares the
node's network, and its processes (`seatrial.target.Placement.container`).
"""
