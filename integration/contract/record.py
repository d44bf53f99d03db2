#!/usr/bin/python3
"""Records how the real clients call a runtime, as the fixtures that tests/contract.rs replays.

    integration/contract/record.py [CLIENT...]      podman, containerd, docker, buildah, cri; all by default

Some steps of each client's scenario are played with the recorder before bin/corten. Of the calls the first of each form
is kept, with the caller's environment, descriptors, signals, umask and working directory, and of the configurations that
of a container with a program of its own. What is another one each time stands as a place between @ signs. The calls of
CRI-O and of containerd 2, which no Debian 12 package makes, are in calls/crio.json and calls/containerd-2.json by hand.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CLIENTS = HERE.parent / "clients"
STEPS = {
    "podman": ["register", "run: memory", "exec: output", "pause, unpause", "update:"],
    "containerd": ["starts", "run: limits", "exec: output", "ps, metrics", "kill: number", "kill --all", "pause, resume"],
    "docker": ["register", "run: memory", "exec: output", "pause, unpause"],
    "buildah": ["register", "bud: RUN", "run: output"],
    "cri": ["register", "pod:", "execSync", "resources", "stop:"],
}
PACKAGES = {"podman": ["podman", "conmon"], "containerd": ["containerd"], "docker": ["docker.io", "containerd"],
            "buildah": ["buildah"], "cri": ["containerd"]}
# A container's life: the order in which the calls are kept.
LIFE = ["--version", "features", "create", "run", "start", "state", "exec", "ps", "pause", "resume", "update", "kill", "delete"]
VALUED = {"--root": "@root@", "--log": "@log@", "--bundle": "@bundle@", "--pid-file": "@pidfile@", "--process": "@process@",
          "--console-socket": "@console@", "--resources": "@resources@"}


def main():
    for client in sys.argv[1:] or STEPS:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            os.chmod(folder, 0o755)
            done = subprocess.run([CLIENTS / f"{client}.py", *STEPS[client]], check=False, text=True, capture_output=True,
                                  env=dict(os.environ, RECORD=folder, RUNTIME=str(HERE.parents[1] / "bin/corten")))
            if done.returncode:
                sys.exit(f"{client}: {done.stdout}{done.stderr}")
            calls = [Call(path) for path in sorted(pathlib.Path(folder).iterdir())]
            fixture = {"client": versions(client), **kept(calls)}
        target = HERE / f"calls/{client}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(pretty(fixture) + "\n", encoding="utf-8")
        print(f"{target}: {len(fixture['calls'])} forms of {len(calls)} calls")


class Call:
    """One recorded call."""

    def __init__(self, path):
        def read(name):
            return (path / name).read_text(encoding="utf-8", errors="surrogateescape") if (path / name).exists() else ""
        self.words = read("argv").split("\0")[:-1]
        self.verb = next((word for word in self.words if word in LIFE), self.words[-1])
        self.id = identity(self.words, self.verb)
        self.config = json.loads(read("config.json") or "null")
        self.process = json.loads(read("process") or "null")
        self.resources = json.loads(read("resources") or "null")
        self.bundle = value(self.words, "--bundle")
        self.cwd, self.umask = read("cwd").strip(), read("umask").strip()
        self.environment = dict(word.split("=", 1) for word in read("environ").split("\0") if "=" in word)
        self.descriptors = dict(re.findall(r" (\d+) -> (.*)", read("fd")))
        masks = dict(re.findall(r"Sig(Blk|Ign):\s*(\S+)", read("signals")))
        self.blocked, self.ignored = signals(masks["Blk"]), signals(masks["Ign"])

    def form(self):
        """The words with places for what is another one each time."""
        form = []
        for word in self.words:
            option, equals, argument = word.partition("=")
            if form and form[-1] in VALUED and not (form[-1] == "--resources" and word == "-"):
                form.append(VALUED[form[-1]])
            elif equals and option in VALUED and argument != "-":
                form.append(f"{option}={VALUED[option]}")
            else:
                form.append("@id@" if word == self.id else word)
        return form

    def fixture(self):
        known = {self.id: "@id@"}
        if self.bundle:
            known[self.bundle] = "@bundle@"
        call = {"argv": self.form(), "environment": {name: placed(text, known) for name, text in self.environment.items()},
                "directory": "@bundle@" if self.cwd == self.bundle else "@elsewhere@", "umask": self.umask,
                "descriptors": {number: kind(target) for number, target in sorted(self.descriptors.items()) if int(number) < 10},
                "ignored": self.ignored, "blocked": self.blocked}
        if self.resources is not None:
            call["resources"] = self.resources
        if self.process:
            call["process"] = dict(self.process, terminal=False)
        return call


def identity(words, verb):
    if verb in ("--version", "features"):
        return None
    plain = [word for word in words[words.index(verb) + 1:] if not word.startswith("-")]
    return plain[0] if verb == "kill" else words[-1]


def value(words, option):
    for index, word in enumerate(words):
        if word == option:
            return words[index + 1]
        if word.startswith(option + "="):
            return word[len(option) + 1:]
    return None


def signals(mask):
    return [number for number in range(1, 32) if int(mask, 16) >> (number - 1) & 1]


def kind(target):
    return target if target.startswith("/dev/") else "socket" if target.startswith("socket:") else "pipe" if target.startswith("pipe:") else "file"


def placed(text, known):
    for name, place in known.items():
        if name:
            text = text.replace(name, place)
    return re.sub(r"[0-9a-f]{64}", "@other@", text)


def kept(calls):
    """The first call of each form without a terminal, in the order of a life, and the configuration of a program's container."""
    forms, configuration = {}, None
    for call in calls:
        form = call.form()
        number = form[-1] if call.verb == "kill" and form[-1].isdigit() else None
        shape = (call.verb, tuple(form[:-1] if number else form))
        if "@console@" in form or "--tty" in form:
            continue
        # Of signals SIGTERM is the one to keep: it can be heard.
        if shape not in forms or number == "15":
            forms[shape] = call
    for call in calls:
        if call.config and os.path.basename(call.config["process"]["args"][0]) == "sh" and not call.config["process"].get("terminal"):
            configuration = configured(call)
            if "sleep 1000" in " ".join(call.config["process"]["args"]):
                break
    order = sorted(forms.values(), key=lambda call: (LIFE.index(call.verb), "--force" in call.words))
    return {"config": configuration, "calls": [call.fixture() for call in order]}


def configured(call):
    """A configuration that can be used again: places for what lay in the client's directories."""
    config = json.loads(json.dumps(call.config).replace(call.id, "@id@"))
    config["root"]["path"] = "rootfs"
    config["process"]["args"] = ["sh", "-c", "trap 'exit 7' TERM; echo up; sleep 1000 & wait"]
    for mount in config["mounts"]:
        source = mount.get("source", "")
        if source.startswith("/") and not source.startswith(("/dev", "/sys", "/proc")):
            is_file = mount["destination"].startswith("/etc/") or "." in pathlib.Path(mount["destination"]).name
            mount["source"] = f"@{'file' if is_file else 'directory'}@{mount['destination'].replace('/', '_')}"
    linux = config["linux"]
    for namespace in linux["namespaces"]:
        namespace.pop("path", None)
    linux["cgroupsPath"] = "/@id@"
    for hooks in config.get("hooks", {}).values():
        for hook in hooks:
            hook["path"] = "@hook@"
    annotations = config.get("annotations", {})
    config["annotations"] = {key: re.sub(r"[0-9a-f]{64}", "@other@", text) for key, text in annotations.items() if not text.startswith("/")}
    return config


def versions(client):
    texts = [subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", name], capture_output=True, text=True, check=True).stdout
             for name in PACKAGES[client]]
    return ", ".join(texts) + (" (CRI)" if client == "cri" else "")


def pretty(fixture):
    """JSON with a line for each small thing, so that a change of a client shows in a diff."""
    def compact(item):
        return json.dumps(item, ensure_ascii=False)
    config = {key: item for key, item in fixture["config"].items() if key != "linux"}
    linux = fixture["config"]["linux"]
    lines = ["{", f' "client": {compact(fixture["client"])},', ' "config": {']
    lines += [f"  {compact(key)}: {compact(item)}," for key, item in config.items()]
    lines += ['  "linux": {', ",\n".join(f"   {compact(key)}: {compact(item)}" for key, item in linux.items()), "  }", " },"]
    lines += [' "calls": [', ",\n".join("  {" + ",\n   ".join(f"{compact(key)}: {compact(item)}" for key, item in call.items()) + "}"
                                       for call in fixture["calls"]), " ]", "}"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
