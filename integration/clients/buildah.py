#!/usr/bin/python3
"""buildah with `--runtime`: RUN of a Containerfile, `buildah run`, terminals, volumes, a registry, an ordinary user.

    integration/clients/buildah.py [WORD...]      the steps whose names hold one of the words; RUNTIME=bin/corten

The registration is that of contrib/containers.conf, word for word (for another runtime with its name in it).
"""

import os
import pathlib

from stage import Terminal, expect, expect_match, image_archive, play, processes, sh, step

BASE = "127.0.0.1:5000/busybox:1"
USER = "corten-buildah"


def buildah(s, *words, **more):
    return s.run("buildah", *words, **more)


def run(s, container, *words, options=(), **more):
    """`buildah run` by name of the runtime, without a network."""
    return buildah(s, "run", "--runtime", s.runtime, "--network=none", *options, container, "--", *words, **more)


def bud(s, text, *options, **more):
    return buildah(s, "bud", "--runtime", s.runtime, "--network=none", *options, "-f", "-", "/srv/build", stdin=text, **more)


@step("register: the base image goes through a registry")
def register(s):
    target = pathlib.Path("/etc/containers/containers.conf.d/corten.conf")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(s.adapt("containers.conf"), encoding="utf-8")
    pathlib.Path("/etc/containers/storage.conf").write_text(
        '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n')
    address = s.registry()
    image_archive("/tmp/image.tar", "localhost/base:1")
    buildah(s, "pull", "docker-archive:/tmp/image.tar")
    buildah(s, "push", "--tls-verify=false", "localhost/base:1", f"docker://{BASE}")
    buildah(s, "rmi", "localhost/base:1")
    expect(address in BASE, True, "the registry's address")
    os.makedirs("/srv/build")
    pathlib.Path("/srv/build/file").write_text("from the context\n")


@step("bud: RUN, COPY, USER, WORKDIR, ENV, SHELL, a build argument")
def build(s):
    bud(s, f"""
FROM {BASE}
ARG WHO=nobody
ENV A=b
COPY file /file
WORKDIR /work
RUN echo "$WHO $A $(pwd) $(id -u)" > /made && cat /file >> /made
USER user
RUN id -u >> /tmp/mine
SHELL ["/bin/sh", "-ec"]
RUN echo shell >> /tmp/mine
""", "--tls-verify=false", "--build-arg", "WHO=you", "-t", "built")
    buildah(s, "from", "--name", "web1", "localhost/built")
    expect(run(s, "web1", "cat", "/made", "/tmp/mine").out.splitlines(),
           ["you b /work 0", "from the context", "1000", "shell"], "what RUN wrote")


@step("bud: a RUN that fails gives its exit code and no image; commands that are not there")
def build_errors(s):
    found = bud(s, f"FROM {BASE}\nRUN exit 42\n", "--tls-verify=false", "-t", "never", code=None)
    expect(found.code, 42, f"exit code: {found}")
    expect("never" in buildah(s, "images").out, False, "an image")
    found = bud(s, f'FROM {BASE}\nRUN ["nosuch"]\n', "--tls-verify=false", code=None)
    expect(found.code != 0, True, "failure")
    expect_match(r"(?i)executable file.*not found in \$PATH", found.err + found.out, "the reason")


@step("run: output, input, exit code, environment, user, directory")
def run_plain(s):
    expect(run(s, "web1", "echo", "hello").out, "hello", "output")
    expect(run(s, "web1", "cat", stdin="from outside\n").out, "from outside", "input")
    run(s, "web1", "sh", "-c", "exit 42", code=42)
    found = run(s, "web1", "sh", "-c", "echo $K; pwd; id -u; hostname", options=["--env", "K=v", "--workingdir", "/tmp",
                "--user", "1000", "--hostname", "box"])
    expect(found.out.split(), ["v", "/tmp", "1000", "box"], "environment, directory, user, host name")


@step("run: volumes, capabilities, a chroot's difference: own pid namespace, seccomp")
def run_options(s):
    found = run(s, "web1", "sh", "-c", "cat /data/file; touch /data/x 2>&1; echo $$; grep -E 'CapBnd|Seccomp:' /proc/self/status",
                options=["-v", "/srv/build:/data:ro", "--cap-drop=all", "--user", "0"])
    expect(found.out.splitlines(), ["from the context", "touch: /data/x: Read-only file system", "1",
                                    "CapBnd:\t0000000000000000", "Seccomp:\t2"], "what it sees")


@step("run: limits of memory in the build")
def limits(s):
    text = f"FROM {BASE}\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max > /limit 2>/dev/null; true\n"
    bud(s, text, "--tls-verify=false", "--memory=64m", "-t", "limited")
    buildah(s, "from", "--name", "web2", "localhost/limited")
    expect_match(rf"^{64 << 20}$", run(s, "web2", "cat", "/limit").out, "the limit that RUN saw")


@step("run -t: a terminal")
def terminal(s):
    t = Terminal("buildah", "run", "-t", "--user", "0", "--runtime", s.runtime, "--network=none", "web1", "--", "sh")
    t.expect(r"# ")
    t.send("tty; exit 5\n")
    t.expect(r"/dev/pts/\d")
    t.end(5)


@step("commit, push, pull: what was built comes back from the registry")
def push(s):
    buildah(s, "commit", "web1", "localhost/committed")
    buildah(s, "push", "--tls-verify=false", "localhost/committed", "docker://127.0.0.1:5000/committed:1")
    buildah(s, "rmi", "localhost/committed")
    buildah(s, "from", "--tls-verify=false", "--name", "web3", "127.0.0.1:5000/committed:1")
    expect(run(s, "web3", "cat", "/file").out, "from the context", "of the image")


@step("rootless: a user made for it builds and runs")
def rootless(s):
    sh(f"groupadd -g 4343 {USER}; useradd -u 4343 -g 4343 -m -d /home/{USER} -s /bin/sh {USER}; "
       f"sed -i /^{USER}:/d /etc/subuid /etc/subgid; echo {USER}:400000:65536 | tee -a /etc/subuid >>/etc/subgid; "
       f"install -d -m 700 -o 4343 -g 4343 /run/user/4343 /srv/rootless; install -d -o 4343 -g 4343 /home/{USER}/.config/containers")
    pathlib.Path(f"/home/{USER}/.config/containers/storage.conf").write_text(
        '[storage]\ndriver = "vfs"\nrunroot = "/run/user/4343/storage"\ngraphroot = "/srv/rootless/storage"\n')
    pathlib.Path("/srv/build/rootless").write_text(f"FROM {BASE}\nRUN id -u > /made\nUSER user\nRUN id -u >> /tmp/mine\n")
    def as_user(*words, **more):
        return s.run("setpriv", "--reuid=4343", "--regid=4343", "--clear-groups", "env", "-i", f"HOME=/home/{USER}", f"USER={USER}",
                     "XDG_RUNTIME_DIR=/run/user/4343", "PATH=" + os.environ["PATH"], *words, cwd=f"/home/{USER}", **more)
    as_user("buildah", "bud", "--isolation=oci", "--runtime", s.runtime, "--network=none", "--tls-verify=false", "-t", "mine", "-f", "/srv/build/rootless", "/srv/build")
    as_user("buildah", "from", "--name", "web4", "localhost/mine")
    found = as_user("buildah", "run", "--isolation=oci", "--runtime", s.runtime, "--network=none", "web4", "--", "cat", "/made", "/tmp/mine")
    expect(found.out.split(), ["0", "1000"], "what RUN wrote")


@step("rm of all: no state, cgroup, process or mount is left")
def nothing(s):
    buildah(s, "rm", "-a")
    left = s.traces("/buildah") + [f"process {number}" for number in processes("^sleep 4321|buildah-oci-runtime")]
    expect(left, [], "left")


if __name__ == "__main__":
    play(__file__)
