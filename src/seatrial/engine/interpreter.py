"""temp"""
from __future__ import annotations
import asyncio
from dataclasses import dataclass, replace
from seatrial.generator import PENDING, Context
from seatrial.op import Op, Type
@dataclass
class W:
    ops_s: float; error_rate: float; p99_ms: float
class Progress:
    total=0
    def window(self): return W(0,0,0)
@dataclass
class Summary:
    next_process: int
async def interpret(generator, *, concurrency, invoke, record, clock, stop, progress, first_process=0):
    procs={t: first_process+t for t in range(concurrency)}
    gen=[generator]
    async def worker(t):
        while not stop.is_set():
            op,g=gen[0].op(Context(clock(),(t,),dict(procs)))
            gen[0]=g
            if op is None: return
            if op is PENDING: await asyncio.sleep(0.002); continue
            d=(op.time_ns-clock())/1e9
            if d>0: await asyncio.sleep(d)
            op=replace(op,time_ns=clock()); record(op)
            done=await invoke(t,op)
            record(done); progress.total+=1
            if done.type==Type.INFO: procs[t]+=concurrency
    await asyncio.gather(*(worker(t) for t in range(concurrency)))
    return Summary(max(procs.values())//concurrency*concurrency+concurrency)
