"""One example of every action there is: what `seatrial list faults --yaml` prints.

They are real values, so they are checked like any other; the tests check them against the CRDs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seatrial.faults.chaos import (
    aws,
    azure,
    block,
    dns,
    gcp,
    http,
    io,
    jvm,
    kernel,
    machine,
    network,
    pod,
    stress,
    time,
)
from seatrial.faults.chaos.action import Action
from seatrial.faults.chaos.experiment import Experiment
from seatrial.faults.chaos.selector import (
    MachineSelector,
    MachineVictims,
    Selector,
    Victims,
)
from seatrial.yaml_text import to_yaml

_LABELS = {"app.kubernetes.io/component": "etcd", "app.kubernetes.io/instance": "trial"}
_ONE = Victims(mode="one", selector=Selector(namespaces=("trial",), label_selectors=_LABELS))
_OTHERS = Victims(selector=Selector(namespaces=("trial",), label_selectors=_LABELS))
_MACHINE = MachineVictims(
    mode="one", selector=MachineSelector(namespaces=("trial",), label_selectors=_LABELS)
)
_VOLUME = "/var/lib/etcd"
_AWS = {"region": "eu-central-1", "instance_id": "i-0123456789abcdef0", "secret_name": "aws"}
_GCP = {"project": "sea", "zone": "europe-west3-a", "instance": "node-1", "secret_name": "gcp"}
_AZURE = {
    "subscription_id": "00000000-0000-0000-0000-000000000000",
    "resource_group": "sea",
    "vm_name": "node-1",
    "secret_name": "azure",
}
_METHOD = {"class_name": "org.example.Store", "method": "put"}
_RULE = "RULE slow\nCLASS org.example.Store\nMETHOD put\nAT ENTRY\nIF true\nDO debug()\nENDRULE"
_KAFKA = {"host": "kafka-1", "port": 9092, "topic": "orders"}
_FILE = f"{_VOLUME}/member/wal/0.wal"
_md, _mj, _mn = machine.disk, machine.jvm, machine.network
_mp, _ms, _mt = machine.process, machine.stores, machine.stress

#: One value of every action.
ACTIONS: tuple[Action, ...] = (
    pod.PodKill(),
    pod.PodFailure(),
    pod.ContainerKill(container_names=("etcd",)),
    network.Partition(direction="both", target=_OTHERS),
    network.Delay(latency_ms=50, jitter_ms=10, correlation=25, direction="both", target=_OTHERS),
    network.Loss(percent=20, correlation=25, target=_OTHERS),
    network.Duplicate(percent=20, target=_OTHERS),
    network.Corrupt(percent=5, target=_OTHERS),
    network.Reorder(latency_ms=20, percent=25, correlation=50, gap=5, target=_OTHERS),
    network.Bandwidth(bits_per_s=1_000_000, target=_OTHERS),
    network.Rate(bits_per_s=1_000_000, target=_OTHERS),
    network.Netem(latency_ms=50, jitter_ms=10, loss_percent=1, direction="both", target=_OTHERS),
    io.Latency(volume_path=_VOLUME, path=f"{_VOLUME}/**/*", methods=("fsync",), latency_ms=100),
    io.Fault(volume_path=_VOLUME, methods=("write",), errno=5, percent=10),
    io.AttrOverride(volume_path=_VOLUME, path=f"{_VOLUME}/**/*", permissions=0o400),
    io.Mistake(volume_path=_VOLUME, filling="zero", occurrences_max=1, length_max_bytes=8),
    stress.Cpu(workers=2, load_percent=80),
    stress.Memory(workers=1, size_bytes=268_435_456),
    stress.StressNg(stressors="--matrix 1"),
    time.ClockOffset(offset_ms=-600_000, container_names=("etcd",)),
    dns.Error(patterns=("node-?.trial.svc", "storage.*")),
    dns.Random(patterns=("storage.*",)),
    http.Abort(target="Request", port=2379, path="/v3/*"),
    http.Delay(target="Response", port=2379, latency_ms=500, code=200),
    http.Replace(target="Response", port=2379, new_code=503, new_body='{"error": "no"}'),
    http.Patch(target="Request", port=2379, more_headers=(("X-Trial", "1"),)),
    jvm.Latency(latency_ms=200, class_name="org.example.Store", method="put"),
    jvm.Return(value="false", class_name="org.example.Store", method="put"),
    jvm.Throw(exception='java.io.IOException("no")', class_name="org.example.Store", method="put"),
    jvm.Stress(cpu_count=2),
    jvm.Gc(),
    jvm.Rule(rule_name="slow", rule=_RULE),
    jvm.Mysql(connector_version="8", table="accounts", sql_type="update", latency_ms=500),
    kernel.FailRequest(fails="bio", percent=1, call_chain=(kernel.Frame(function="ext4_fsync"),)),
    block.Delay(volume_name="data", latency_ms=50),
    aws.Ec2Stop.model_validate(_AWS),
    aws.Ec2Restart.model_validate(_AWS),
    aws.DetachVolume.model_validate(
        _AWS | {"volume_id": "vol-0123456789abcdef0", "device_name": "/dev/sdf"}
    ),
    gcp.NodeStop.model_validate(_GCP),
    gcp.NodeReset.model_validate(_GCP),
    gcp.DiskLoss.model_validate(_GCP | {"device_names": ["data"]}),
    azure.VmStop.model_validate(_AZURE),
    azure.VmRestart.model_validate(_AZURE),
    azure.DiskDetach.model_validate(_AZURE | {"disk_name": "data", "lun": 0}),
    _mt.StressCpu(load_percent=80, workers=2),
    _mt.StressMemory(size_mib=512),
    _md.DiskReadPayload(size_mib=1024, path=f"{_VOLUME}/member/snap/db"),
    _md.DiskWritePayload(size_mib=1024, processes=2),
    _md.DiskFill(size_mib=10_240, path=f"{_VOLUME}/filler"),
    _mn.NetworkCorrupt(device="eth0", percent=5, ip_protocol="tcp", egress_port="2380"),
    _mn.NetworkDuplicate(device="eth0", percent=20, ip_address="10.0.0.2"),
    _mn.NetworkLoss(device="eth0", percent=20, correlation=25, hostname="node-2"),
    _mn.NetworkDelay(device="eth0", latency_ms=50, jitter_ms=10, ip_address="10.0.0.2"),
    _mn.NetworkPartition(device="eth0", direction="from", ip_address="10.0.0.2"),
    _mn.NetworkDns(domain_name="node-2", ip="10.0.0.9"),
    _mn.NetworkBandwidth(device="eth0", bits_per_s=1_000_000),
    _mn.NetworkFlood(ip_address="10.0.0.2", port=5201, bits_per_s=80_000_000, parallel=2),
    _mn.NetworkDown(device="eth0"),
    _mp.Process(process="etcd", signal=9, recover_command="systemctl start etcd"),
    _mj.JvmThrow.model_validate(_METHOD | {"pid": 4242, "exception": "java.io.IOException()"}),
    _mj.JvmGc(pid=4242),
    _mj.JvmLatency.model_validate(_METHOD | {"pid": 4242, "latency_ms": 200}),
    _mj.JvmReturn.model_validate(_METHOD | {"pid": 4242, "value": "false"}),
    _mj.JvmStress(pid=4242, memory="heap"),
    _mj.JvmRule(pid=4242, rule=_RULE),
    _mj.JvmMysql(pid=4242, connector_version="8", exception="no"),
    _mp.ClockOffset(pid=4242, offset_ms=-600_000),
    _ms.RedisExpiration(address="redis-1:6379", key="session", expire_after_s=1),
    _ms.RedisPenetration(address="redis-1:6379", requests=10_000),
    _ms.RedisCacheLimit(address="redis-1:6379", percent=50),
    _ms.RedisRestart(address="redis-1:26379", configuration="/etc/redis/sentinel.conf"),
    _ms.RedisStop(address="redis-1:26379"),
    _ms.KafkaFill.model_validate(
        _KAFKA | {"total_bytes": 2**30, "reload_command": "systemctl reload kafka"}
    ),
    _ms.KafkaFlood.model_validate(_KAFKA | {"threads": 10}),
    _ms.KafkaIo(topic="orders", configuration="/etc/kafka/server.properties", unwritable=True),
    _md.FileCreate(folder=f"{_VOLUME}/stray"),
    _md.FileModify(file=_FILE, permissions=400),
    _md.FileDelete(file=_FILE),
    _md.FileRename(source=_FILE, destination=f"{_FILE}.gone"),
    _md.FileAppend(file=_FILE, data="garbage", times=3),
    _md.FileReplace(file="/etc/etcd.yaml", old="trial-1", new="trial-2", line=3),
    _mp.VirtualMachine(vm_name="node-1"),
    _mp.UserDefined(attack_command="touch /run/broken", recover_command="rm /run/broken"),
)

_ON = {"pods": _ONE, "machines": _MACHINE, "cloud": None}


def examples() -> Iterator[Experiment]:
    """One experiment of 30 s for every action, named after it; each name once."""
    for action in ACTIONS:
        yield Experiment(
            name=re.sub("[^a-z0-9]+", "-", action.title().lower()),
            namespace="trial",
            action=action,
            on=_ON[action.scope],
            duration_s=30,
        )


def document(example: Experiment) -> str:
    """One object as a YAML document, with a comment that says what it does."""
    action = example.action
    body = to_yaml([example.manifest()])
    return f"---\n# {action.title()}: {action.summary}\n{body}"


def documents() -> str:
    """All examples as one stream of YAML documents."""
    return "".join(document(example) for example in examples())
