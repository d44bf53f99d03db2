#!/usr/bin/python3
"""The Container Runtime Interface as the kubelet speaks it, to containerd's own plugin: pods, containers, exec, logs, update.

    integration/clients/cri.py [WORD...]      the steps whose names hold one of the words; RUNTIME=bin/corten

The registration is Debian's configuration of containerd with contrib/containerd-1.toml after it, word for word (for
another runtime with its name in it); pods ask for the runtime by its handler, as a RuntimeClass does.
"""

import base64
import importlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.parse

import grpc

from stage import Failed, await_that, expect, expect_match, image_archive, limits_of, play, processes, step

HERE = pathlib.Path(__file__).resolve().parent
SOCKET = "/run/containerd/containerd.sock"
IMAGE, PAUSE = "localhost/busybox:1", "localhost/pause:1"
LOGS = "/var/log/pods/test"
CREATED, RUNNING, EXITED = 0, 1, 2
MIB = 1 << 20
# Debian's configuration, with an image for the pause that is there, and without a wish that needs CAP_SYS_RESOURCE.
CONTAINERD = f"""
version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "{PAUSE}"
    restrict_oom_score_adj = true
    disable_apparmor = true
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
"""
NETWORK = {"cniVersion": "0.4.0", "name": "net", "plugins": [
    {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]]}}]}


class Refused(Failed):
    """The answer to a call is an error."""


class Cri:
    """A client: calls of the runtime service by name, messages of cri.proto."""

    ANSWERS = {"Version": "VersionResponse", "Status": "StatusResponse", "RunPodSandbox": "PodSandboxId",
               "PodSandboxStatus": "PodSandboxStatusResponse", "ListPodSandbox": "ListPodSandboxResponse",
               "CreateContainer": "ContainerId", "ContainerStatus": "ContainerStatusResponse",
               "ListContainers": "ListContainersResponse", "ExecSync": "ExecSyncResponse", "Exec": "UrlResponse",
               "Attach": "UrlResponse", "ContainerStats": "ContainerStatsResponse"}

    def __init__(self, work):
        subprocess.run(["protoc", f"--python_out={work}", f"-I{HERE}", str(HERE / "cri.proto")], check=True)
        sys.path.insert(0, str(work))
        self.messages = importlib.import_module("cri_pb2")
        self.channel = grpc.insecure_channel(f"unix://{SOCKET}")
        self.count = 0

    def __getattr__(self, name):
        return getattr(self.messages, name)

    def call(self, verb, request, timeout=60):
        answer = getattr(self.messages, self.ANSWERS.get(verb, "Nothing"))
        method = self.channel.unary_unary(f"/runtime.v1.RuntimeService/{verb}", request_serializer=type(request).SerializeToString,
                                          response_deserializer=answer.FromString)
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise Refused(f"{verb}: {error.details()}") from None

    def pod(self, handler, **linux):
        """Runs a pod; its id and its configuration."""
        self.count += 1
        # As the kubelet does: no name of its own for a pod on the node's network.
        of_node = linux.get("security_context", {}).get("namespace_options", {}).get("network") == 2
        config = self.PodSandboxConfig(metadata={"name": f"pod{self.count}", "uid": f"uid{self.count}", "namespace": "test"},
                                       hostname="" if of_node else f"host{self.count}", log_directory=LOGS,
                                       linux={"cgroup_parent": "/kubepods", **linux})
        return self.call("RunPodSandbox", self.RunPodSandboxRequest(config=config, runtime_handler=handler)).pod_sandbox_id, config

    def container(self, pod, *command, start=True, security=None, resources=None, **more):
        """Creates a container and starts it; its id."""
        self.count += 1
        linux = {"resources": resources or {}, "security_context": security or {}}
        config = self.ContainerConfig(metadata={"name": f"c{self.count}"}, image={"image": IMAGE}, command=command,
                                      log_path=f"c{self.count}.log", linux=linux, **more)
        made = self.call("CreateContainer", self.CreateContainerRequest(pod_sandbox_id=pod[0], config=config, sandbox_config=pod[1]))
        if start:
            self.call("StartContainer", self.ContainerId(container_id=made.container_id))
        return made.container_id

    def status(self, container):
        return self.call("ContainerStatus", self.ContainerStatusRequest(container_id=container)).status

    def ended(self, container):
        """Waits for a container's end; its status."""
        return await_that("the container ends", lambda: (found := self.status(container)).state == EXITED and found, 30)

    def log(self, container):
        """What a container has written, by the lines of its log: time, stream, whole or part, text."""
        path = pathlib.Path(LOGS) / f"{self.status(container).metadata.name}.log"
        lines = [re.fullmatch(r"(\S+) (stdout|stderr) ([FP]) (.*)", line) for line in path.read_text().splitlines()]
        expect(None in lines, False, f"the form of the lines in {path}")
        return "\n".join(line[4] for line in lines)

    def output(self, pod, *command, **more):
        """Runs a container to its end; what it wrote."""
        container = self.container(pod, *command, **more)
        status = self.ended(container)
        expect(status.exit_code, 0, f"exit code of {command}: {self.log(container)}")
        return self.log(container)

    def exec(self, container, *command, timeout=20):
        return self.call("ExecSync", self.ExecSyncRequest(container_id=container, cmd=command, timeout=timeout))

    def pid(self, container):
        found = self.call("ContainerStatus", self.ContainerStatusRequest(container_id=container, verbose=True))
        return json.loads(found.info["info"])["pid"]

    def remove_all(self):
        for pod in self.call("ListPodSandbox", self.Nothing()).items:
            self.call("StopPodSandbox", self.PodSandboxId(pod_sandbox_id=pod.id))
            self.call("RemovePodSandbox", self.PodSandboxId(pod_sandbox_id=pod.id))


class Stream:
    """A streaming exec or attach by WebSocket, RFC 6455, with the kubelet's channels: input, outputs, error, resize."""

    def __init__(self, url):
        place = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((place.hostname, place.port), 20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.some()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.splitlines()[0]:
            raise Failed(f"{url}: {head.decode(errors='replace')}")
        self.seen = {1: "", 2: "", 3: ""}

    def some(self):
        data = self.socket.recv(4096)
        if not data:
            raise Failed("the stream has ended")
        return data

    def take(self, count):
        while len(self.buffer) < count:
            self.buffer += self.some()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def send(self, channel, text):
        data = bytes([channel]) + text.encode()
        mask = os.urandom(4)
        head = bytes([0x82]) + (bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + len(data).to_bytes(2, "big"))
        self.socket.sendall(head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))

    def receive(self):
        """One message into `seen`; false at the end."""
        head = self.take(2)
        length = head[1] & 0x7F
        if length > 125:
            length = int.from_bytes(self.take(2 if length == 126 else 8), "big")
        data = self.take(length)
        if head[0] & 0xF == 8:
            return False
        if data and head[0] & 0xF in (1, 2):
            self.seen[data[0]] = self.seen.get(data[0], "") + data[1:].decode(errors="replace")
        return True

    def expect(self, channel, pattern):
        while not re.search(pattern, self.seen[channel]):
            if not self.receive():
                raise Failed(f"the stream ended without {pattern!r}: {self.seen}")

    def end(self):
        """Reads to the end; the verdict of the error channel."""
        while not self.seen[3] and self.receive():
            pass
        self.socket.close()
        return json.loads(self.seen[3])


@step("register: the runtime is a handler of containerd's CRI plugin")
def register(s):
    os.makedirs("/etc/containerd")
    pathlib.Path("/etc/containerd/config.toml").write_text(CONTAINERD + adapted(s), encoding="utf-8")
    os.makedirs("/etc/cni/net.d")
    pathlib.Path("/etc/cni/net.d/10-net.conflist").write_text(json.dumps(NETWORK))
    s.daemon("containerd", "containerd", ready=lambda: s.run("ctr", "version", code=None).code == 0)
    image_archive("/tmp/image.tar", IMAGE)
    image_archive("/tmp/pause.tar", PAUSE, command=["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 3600 & wait; done"])
    for name in ("image", "pause"):
        s.run("ctr", "-n", "k8s.io", "image", "import", f"/tmp/{name}.tar")
    s.cri = Cri(s.work)
    await_that("the runtime and the network are ready", lambda: all(
        condition.status for condition in s.cri.call("Status", s.cri.Nothing()).status.conditions))
    expect(s.cri.call("Version", s.cri.VersionRequest()).runtime_name, "containerd", "name")


def adapted(s):
    """The file of contrib/; for runc, which it lists already, with its own path there."""
    text = s.adapt("containerd-1.toml")
    if s.name == "runc":
        text = text[text.index("[plugins", 1):]
    return text


@step("pod: an address, a host name, a sysctl; an unknown handler is refused")
def pod(s):
    s.pod = s.cri.pod(s.name, sysctls={"net.ipv4.ip_unprivileged_port_start": "80"})
    found = s.cri.call("PodSandboxStatus", s.cri.PodSandboxId(pod_sandbox_id=s.pod[0])).status
    expect((found.state, found.runtime_handler), (0, s.name), "state (ready) and handler")
    expect_match(r"^10\.99\.0\.", found.network.ip, "address")
    text = s.cri.output(s.pod, "sh", "-c", "hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ip -4 addr show eth0 | grep inet")
    expect_match(rf"^{s.pod[1].hostname}\n80\n.*{found.network.ip}/24", text, "what a container of the pod sees")
    try:
        s.cri.pod("nosuch")
    except Refused as error:
        expect_match("nosuch", str(error), "the reason")
    else:
        raise Failed("a pod with an unknown handler runs")


@step("container: created, running, exited with its code; both outputs in its log")
def container(s):
    made = s.cri.container(s.pod, "sh", "-c", "echo one; echo two >&2; exit 42", start=False)
    expect(s.cri.status(made).state, CREATED, "state")
    s.cri.call("StartContainer", s.cri.ContainerId(container_id=made))
    status = s.cri.ended(made)
    expect((status.exit_code, status.reason), (42, "Error"), "how it ended")
    expect(sorted(s.cri.log(made).split()), ["one", "two"], "its log")
    again = s.cri.output(s.pod, "sh", "-c", "echo $K; pwd; cat /data/file; touch /data/x 2>&1 || true", working_dir="/tmp",
                         envs=[{"key": "K", "value": "v"}], mounts=[shared("/data", readonly=True)])
    expect(again.split("\n"), ["v", "/tmp", "content", "touch: /data/x: Read-only file system"], "environment, directory, mount")


def shared(target, **more):
    os.makedirs("/srv/data", exist_ok=True)
    pathlib.Path("/srv/data/file").write_text("content\n")
    return {"container_path": target, "host_path": "/srv/data", **more}


@step("security: user, groups, capabilities, read-only root, seccomp, masks")
def security(s):
    wish = {"run_as_user": {"value": 1000}, "run_as_group": {"value": 2000}, "supplemental_groups": [3000], "readonly_rootfs": True,
            "no_new_privs": True, "capabilities": {"drop_capabilities": ["ALL"]}, "seccomp": {"profile_type": 0},
            "masked_paths": ["/proc/uptime"], "readonly_paths": ["/proc/sys"]}
    text = s.cri.output(s.pod, "sh", "-c", "id; touch /tmp/x 2>&1; wc -c < /proc/uptime; grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status",
                        security=wish)
    expect_match(r"uid=1000.* gid=2000.*3000.*\ntouch: /tmp/x: Read-only file system\n0\nCapBnd:\t0+\nNoNewPrivs:\t1\nSeccomp:\t2$", text, "what it is")
    text = s.cri.output(s.pod, "grep", "-E", "CapEff|Seccomp:", "/proc/self/status", security={
        "capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["NET_BIND_SERVICE"]}, "seccomp": {"profile_type": 1}})
    expect(text, "CapEff:\t0000000000000400\nSeccomp:\t0", "one capability, unconfined")


@step("execSync: outputs, exit code, a timeout; commands that are not there")
def exec_sync(s):
    s.sleeper = s.cri.container(s.pod, "sh", "-c", "trap 'exit 7' TERM; sleep 1000 & wait")
    found = s.cri.exec(s.sleeper, "sh", "-c", "echo one; echo two >&2; exit 9")
    expect((found.stdout, found.stderr, found.exit_code), (b"one\n", b"two\n", 9), "outputs and code")
    for word, reason in (("nosuch", r"executable file.*not found in \$PATH"), ("/etc/passwd", "(?i)permission denied")):
        with_error(lambda word=word: s.cri.exec(s.sleeper, word), reason)
    with_error(lambda: s.cri.exec(s.sleeper, "sleep", "4321", timeout=1), "(?i)timeout|deadline")
    await_that("what took too long is gone", lambda: not processes("^sleep 4321"))
    for _ in range(10):
        expect(s.cri.exec(s.sleeper, "true").exit_code, 0, "one of many probes")


def with_error(call, reason):
    try:
        found = call()
    except Refused as error:
        expect_match(reason, str(error), "the reason")
    else:
        raise Failed(f"no error that says {reason}: {found}")


@step("exec and attach by streams: a terminal, its size; input and both outputs")
def streams(s):
    ask = s.cri.ExecRequest(container_id=s.sleeper, cmd=["sh"], tty=True, stdin=True, stdout=True)
    stream = Stream(s.cri.call("Exec", ask).url)
    stream.expect(1, "# ")
    stream.send(4, '{"Width":90,"Height":30}')
    time.sleep(0.3)
    stream.send(0, "tty; stty size; exit 5\n")
    stream.expect(1, r"/dev/pts/\d+\r*\n30 90")
    expect(stream.end()["details"]["causes"][0]["message"], "5", "exit code")
    ask = s.cri.ExecRequest(container_id=s.sleeper, cmd=["sh", "-c", "read x; echo got $x; echo bad >&2"], stdin=True, stdout=True, stderr=True)
    stream = Stream(s.cri.call("Exec", ask).url)
    stream.send(0, "it\n")
    expect(stream.end()["status"], "Success", "status")
    expect((stream.seen[1], stream.seen[2]), ("got it\n", "bad\n"), "outputs")
    made = s.cri.container(s.pod, "sh", "-c", "read x; echo got $x", stdin=True, stdin_once=True)
    stream = Stream(s.cri.call("Attach", s.cri.AttachRequest(container_id=made, stdin=True, stdout=True, stderr=True)).url)
    stream.send(0, "attached\n")
    stream.expect(1, "got attached")
    expect(s.cri.ended(made).exit_code, 0, "exit code")


@step("resources: limits are in force, an update changes them, statistics tell")
def resources(s):
    made = s.cri.container(s.pod, "sleep", "1000", resources={"memory_limit_in_bytes": 64 * MIB, "cpu_period": 100000,
                           "cpu_quota": 50000, "cpu_shares": 512})
    expect(limits_of(s.cri.pid(made), "memory", "cpu"), {"memory": str(64 * MIB), "cpu": "50000"}, "limits")
    s.cri.call("UpdateContainerResources", s.cri.UpdateRequest(container_id=made, linux={"memory_limit_in_bytes": 96 * MIB,
               "cpu_period": 100000, "cpu_quota": 25000}))
    expect(limits_of(s.cri.pid(made), "memory", "cpu"), {"memory": str(96 * MIB), "cpu": "25000"}, "limits after the update")
    found = s.cri.call("ContainerStats", s.cri.ContainerId(container_id=made)).stats
    expect(found.cpu.usage_core_nano_seconds.value > 0 and found.memory.working_set_bytes.value > 0, True, "statistics")
    s.cri.call("StopContainer", s.cri.StopContainerRequest(container_id=made, timeout=0))
    expect(s.cri.status(made).exit_code, 137, "exit code")


@step("out of memory: the reason is OOMKilled")
def oom(s):
    made = s.cri.container(s.pod, "sh", "-c", "x=a; while true; do x=$x$x; done", resources={"memory_limit_in_bytes": 16 * MIB})
    status = s.cri.ended(made)
    expect((status.reason, status.exit_code), ("OOMKilled", 137), "how it ended")


@step("stop: SIGTERM with patience, SIGKILL after it")
def stop(s):
    s.cri.call("StopContainer", s.cri.StopContainerRequest(container_id=s.sleeper, timeout=10))
    expect(s.cri.status(s.sleeper).exit_code, 7, "exit code of one that hears")
    deaf = s.cri.container(s.pod, "sh", "-c", "trap '' TERM; sleep 1000 & wait; sleep 1000")
    time.sleep(0.3)
    s.cri.call("StopContainer", s.cri.StopContainerRequest(container_id=deaf, timeout=1))
    expect(s.cri.status(deaf).exit_code, 137, "exit code of a deaf one")
    s.cri.call("StopContainer", s.cri.StopContainerRequest(container_id=deaf, timeout=1))
    s.cri.call("RemoveContainer", s.cri.ContainerId(container_id=deaf))


@step("start of what cannot run: the reason, state exited")
def start_errors(s):
    for word, reason in (("nosuch", r"executable file.*not found in \$PATH"), ("/no/such", "(?i)no such file or directory")):
        made = s.cri.container(s.pod, word, start=False)
        with_error(lambda made=made: s.cri.call("StartContainer", s.cri.ContainerId(container_id=made)), reason)
        status = s.cri.status(made)
        expect((status.state, status.exit_code), (EXITED, 128), f"state and code of {word}")
        expect_match(reason, status.message, "the message of the status")


@step("namespaces: pid of the pod, of the node, of another container; the node's network")
def namespaces(s):
    shared_pid = s.cri.pod(s.name, security_context={"namespace_options": {"pid": 0}})
    text = s.cri.output(shared_pid, "ps", security={"namespace_options": {"pid": 0}})
    expect_match(r"trap 'exit 0' TERM", text, "the pause among the processes")
    node = s.cri.pod(s.name, security_context={"namespace_options": {"network": 2, "pid": 2, "ipc": 2}})
    text = s.cri.output(node, "sh", "-c", "ps; ls /sys/class/net", security={"namespace_options": {"network": 2, "pid": 2, "ipc": 2}})
    expect_match(r"containerd(.*\n)*.*cni0", text, "the node's processes and network")
    target = s.cri.container(s.pod, "sleep", "1234", security={"namespace_options": {"pid": 1}})
    text = s.cri.output(s.pod, "ps", security={"namespace_options": {"pid": 3, "target_id": target}})
    expect_match("sleep 1234", text, "the target's process")


@step("privileged: all devices, a mount of its own, propagation to the node")
def privileged(s):
    strong = s.cri.pod(s.name, security_context={"privileged": True})
    os.makedirs("/srv/shared", exist_ok=True)
    s.run("sh", "-c", "mount --bind /srv/shared /srv/shared && mount --make-shared /srv/shared")
    made = s.cri.container(strong, "sh", "-c", "mkdir -p /shared/in && mount -t tmpfs none /shared/in && ls /dev/loop-control /dev/fuse /dev/kmsg; sleep 1000",
                           security={"privileged": True}, mounts=[{"container_path": "/shared", "host_path": "/srv/shared", "propagation": 2}])
    await_that("the mount is seen on the node", lambda: "/srv/shared/in" in pathlib.Path("/proc/self/mounts").read_text())
    s.cri.call("StopContainer", s.cri.StopContainerRequest(container_id=made, timeout=0))
    s.run("umount", "/srv/shared/in")
    s.run("umount", "/srv/shared")


@step("containerd restarts: pods and containers are found again")
def restart(s):
    made = s.cri.container(s.pod, "sleep", "1000")
    _, process, _ = s.daemons.pop()
    process.terminate()
    process.wait(20)
    s.daemon("containerd", "containerd", ready=lambda: s.run("ctr", "version", code=None).code == 0)
    await_that("the CRI answers", lambda: answers(s))
    expect(s.cri.status(made).state, RUNNING, "state")
    expect(s.cri.exec(made, "echo", "again").stdout, b"again\n", "exec")


def answers(s):
    try:
        return s.cri.call("Status", s.cri.Nothing(), timeout=5)
    except Refused:
        return False


@step("removal of all pods: no state, cgroup, process or mount is left")
def nothing(s):
    s.cri.remove_all()
    await_that("no shim is left", lambda: not processes("containerd-shim"))
    left = s.traces(r"/[0-9a-f]{64}$") + [f"process {number}" for number in processes("^sleep 1")]
    expect(left, [], "left")


if __name__ == "__main__":
    play(__file__)
