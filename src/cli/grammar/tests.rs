//! The words of callers.

use super::*;
use clap::CommandFactory;

#[test]
fn the_grammar_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn callers_words_are_understood() {
    for words in [
        "corten --root /r --log /l --log-format json create --bundle /b --pid-file /p --no-pivot id",
        "corten --root=/r --systemd-cgroup create id --bundle /b",
        "corten -r /r -l /l -s create -b /b id",
        "corten --log-level=warning --debug --log-level error list",
        "corten --rootless=1 create --no-subreaper -f /c id",
        "corten spec -b b -f other.json --rootless",
        "corten kill --all id 9",
        "corten kill id SIGTERM -a",
        "corten delete id --force",
        "corten list -f json -q",
        "corten --root /r ps --format json id",
        "corten ps -f table id -f json -ef --root x",
        "corten events --stats id",
        "corten events --interval=5s id",
        "corten --root /r pause id",
        "corten update --resources - id",
        "corten update --resources=- id",
        "corten update --memory -1 --cpu-quota=-1 id --pids-limit -1",
        "corten pause --reclaim id",
        "corten pause --reclaim=50% id",
        "corten resume id",
        "corten checkpoint --image-path /i --work-path /w --leave-running --file-locks id",
        "corten checkpoint --empty-ns network --tcp-established --ext-unix-sk --shell-job id",
        "corten checkpoint --pre-dump --parent-path ../p --status-fd -1 --page-server [::1]:9 id",
        "corten checkpoint --network-lock skip --manage-cgroups-mode ignore --tcp-close id",
        "corten restore --image-path /i --detach --pid-file /f --no-subreaper --bundle /b id",
        "corten restore --lsm-profile apparmor:x --lsm-mount-context c --no-pivot -d -b /b id",
        "corten run -d --keep --no-subreaper --preserve-fds 2 id",
        "corten --root /r exec --process /p --detach --pid-file /f id",
        "corten exec -t -u 1000:1000 -e A=b -e C=d -g 5 -c CAP_KILL --cwd / id sh",
        "corten exec --cgroup memory:a --cgroup cpu:b --ignore-paused --no-new-privs id sh",
    ] {
        assert!(Arguments::try_parse_from(words.split(' ')).is_ok(), "{words}");
    }
}

#[test]
fn option_that_is_given_twice_counts_as_it_was_given_last() {
    let read = |words: &str| Arguments::try_parse_from(words.split(' ')).unwrap();
    let arguments = read(
        "corten --root /a --debug --log /a --root /b --debug --log /b --systemd-cgroup --systemd-cgroup list",
    );
    assert_eq!(arguments.root.as_deref(), Some("/b".as_ref()));
    assert_eq!(arguments.log.as_deref(), Some("/b".as_ref()));
    let Verb::Update(update) = read("corten update --pids-limit 5 id --pids-limit 6").verb else { panic!() };
    assert_eq!(update.pids_limit, Some(6));
    let Verb::Exec(exec) = read("corten exec -d -d -e A=1 -e B=2 -g 1 -g 2 id sh").verb else { panic!() };
    assert_eq!((exec.env.len(), exec.additional_gids.len()), (2, 2), "those of which there may be many");
}

#[test]
fn flags_of_exec_end_at_the_id() {
    for (words, id, command) in [
        ("corten exec -t id sh -c x --foo", "id", vec!["sh", "-c", "x", "--foo"]),
        ("corten exec id -t --root /x", "id", vec!["-t", "--root", "/x"]),
        ("corten exec id -- sh", "id", vec!["--", "sh"]),
        ("corten exec --env A=1 id", "id", vec![]),
    ] {
        let arguments = Arguments::try_parse_from(words.split(' ')).unwrap();
        let Verb::Exec(exec) = arguments.verb else { panic!("{words}") };
        assert_eq!(
            (exec.id(), exec.command()),
            (id, command.iter().map(|word| word.to_string()).collect::<Vec<_>>().as_slice()),
            "{words}"
        );
        assert!(arguments.root.is_none(), "{words}");
    }
}

/// What callers may say to each verb, an option a line: runc's, crun's and youki's words.
const OPTIONS: &[(&str, &str)] = &[
    (
        "",
        "--root=/r --log=/l --log-format=json --log-level=debug --debug --systemd-cgroup --cgroup-manager=systemd",
    ),
    ("", "--cgroup-manager=disabled --rootless=true --rootless=auto --criu=/c -r=/r -l=/l -s"),
    (
        "",
        "--log=journald:x --log=syslog: --log=file:/l --log-level=error --log-level=warning --log-level=info",
    ),
    ("create", "-b=/b --bundle=/b --console-socket=/s --pidfd-socket=/s --pid-file=/p --no-pivot"),
    ("create", "--no-new-keyring --preserve-fds=2 -f=/c --config=/c --no-subreaper"),
    ("run", "-b=/b --bundle=/b --console-socket=/s --pidfd-socket=/s --pid-file=/p --no-pivot"),
    ("run", "--no-new-keyring --preserve-fds=2 -f=/c --config=/c --no-subreaper -d --detach --keep"),
    ("exec", "--console-socket=/s --pidfd-socket=/s --cwd=/ -e=A=b --env=A=b -t --tty -u=1:2 --user=1"),
    ("exec", "-g=5 --additional-gids=5 -p=/p --process=/p -d --detach --pid-file=/p --process-label=l"),
    (
        "exec",
        "--apparmor=a --no-new-privs -c=CAP_KILL --cap=CAP_KILL --preserve-fds=1 --cgroup=cpu:a --ignore-paused",
    ),
    ("start", ""),
    ("state", ""),
    ("kill", "-a --all -r --regex"),
    ("delete", "-f --force -r --regex"),
    ("list", "-f=json --format=table -q --quiet"),
    ("ps", "-f=json --format=table"),
    ("pause", "--reclaim --reclaim=50% --reclaim=1m"),
    ("resume", ""),
    (
        "update",
        "-r=- --resources=/f --blkio-weight=10 --cpu-period=1 --cpu-quota=-1 --cpu-burst=1 --cpu-share=2",
    ),
    (
        "update",
        "--cpu-rt-period=1 --cpu-rt-runtime=1 --cpuset-cpus=0 --cpuset-mems=0 --cpu-idle=1 --memory=512m",
    ),
    ("update", "--memory-reservation=1k --memory-swap=-1 --pids-limit=-1 --l3-cache-schema=L3:0=f"),
    ("update", "--mem-bw-schema=MB:0=10 --kernel-memory=1 --kernel-memory-tcp=1"),
    ("events", "--stats --interval=5s"),
    ("checkpoint", "--image-path=/i --work-path=/w --parent-path=../p --leave-running --tcp-established"),
    ("checkpoint", "--tcp-skip-in-flight --link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd=3"),
    (
        "checkpoint",
        "--page-server=h:1 --file-locks --pre-dump --manage-cgroups-mode=soft --manage-cgroups-mode=full",
    ),
    (
        "checkpoint",
        "--manage-cgroups-mode=strict --manage-cgroups-mode=ignore --empty-ns=network --auto-dedup",
    ),
    ("checkpoint", "--network-lock=iptables --network-lock=nftables --network-lock=skip"),
    (
        "restore",
        "--console-socket=/s --image-path=/i --work-path=/w --tcp-established --ext-unix-sk --shell-job",
    ),
    (
        "restore",
        "--file-locks --manage-cgroups-mode=soft -b=/b --bundle=/b -d --detach --pid-file=/p --no-subreaper",
    ),
    ("restore", "--no-pivot --empty-ns=network --auto-dedup --lazy-pages --lsm-profile=apparmor:x"),
    ("restore", "--lsm-mount-context=c --tcp-close --network-lock=skip"),
    ("spec", "-b=/b --bundle=/b --rootless -f=/f --file=/f"),
    ("features", ""),
];

#[test]
fn every_option_of_the_peers_is_known() {
    for (verb, options) in OPTIONS {
        let operands: &[&str] = match *verb {
            "" => &["list"],
            "list" | "spec" | "features" => &[verb],
            verb => &[verb, "id"],
        };
        let understood = |words: &[&str]| {
            let words = ["corten"].into_iter().chain(words.iter().copied());
            Arguments::try_parse_from(words).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(understood(operands), Ok(()), "{verb}");
        // Behind the verb, but those of the program itself before it; a value may be a word of its own.
        for option in options.split_whitespace() {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let short = !name.starts_with("--");
            let joined = if value.is_empty() { vec![name] } else { vec![option] };
            let apart =
                if value.is_empty() || name == "--reclaim" { joined.clone() } else { vec![name, value] };
            for words in [joined, apart] {
                let words =
                    if short && words.len() == 1 && !value.is_empty() { vec![name, value] } else { words };
                let cut = usize::from(!verb.is_empty());
                let line = [&operands[..cut], &words, &operands[cut..]].concat();
                assert_eq!(understood(&line), Ok(()), "{line:?}");
            }
        }
    }
}
