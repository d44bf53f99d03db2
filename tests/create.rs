//! What `create` and `run` have in common: each option, under both.

mod support;

use serde_json::json;
use std::fs;
use support::runtime::eventually;
use support::{Bundle, Outcome, skip_on_peer, terminal};

const VERBS: [&str; 2] = ["create", "run"];

/// Makes the container by one of the verbs, with these options alone, and lets it run to its end; what its program wrote.
#[track_caller]
fn shown_by(verb: &str, bundle: &Bundle, options: &[&str]) -> String {
    bundle.write_config();
    let outcome = by(verb, bundle, options).ok();
    if verb == "run" {
        return outcome.stdout;
    }
    let pid = bundle.state()["pid"].as_i64().unwrap();
    bundle.start().ok();
    bundle.await_death(i32::try_from(pid).unwrap());
    bundle.delete().ok();
    fs::read_to_string(&outcome.files.0).unwrap()
}

fn by(verb: &str, bundle: &Bundle, options: &[&str]) -> Outcome {
    bundle.call(&[&[verb], options, &[bundle.id.as_str()]].concat())
}

#[test]
fn bundle_is_the_directory_that_is_named() {
    let bundle = Bundle::sh("echo here");
    bundle.write_config();
    // What is in the working directory is another one.
    fs::write(bundle.dir.join("config.json"), "{}").unwrap();
    for verb in VERBS {
        for option in [&["--bundle", "bundle"][..], &["--bundle=bundle"], &["-b", "bundle"]] {
            assert_eq!(shown_by(verb, &bundle, option), "here\n", "{verb} {option:?}");
        }
    }
}

#[test]
fn another_file_is_the_configuration() {
    if skip_on_peer("the option is crun's") {
        return;
    }
    let mut bundle = Bundle::sh("echo other");
    bundle.write_config();
    fs::rename(bundle.path().join("config.json"), bundle.dir.join("other.json")).unwrap();
    bundle.script("echo its own");
    for verb in VERBS {
        for option in [&["--config", "other.json"][..], &["-f", "other.json"]] {
            let options = [&["--bundle", "bundle"], option].concat();
            assert_eq!(shown_by(verb, &bundle, &options), "other\n", "{verb} {option:?}");
        }
    }
}

#[test]
fn pid_is_in_the_file() {
    let bundle = Bundle::sleeper();
    bundle.write_config();
    for (verb, more) in [("create", &[][..]), ("run", &["--detach"])] {
        let path = bundle.dir.join(verb);
        let options = ["--bundle", "bundle", "--pid-file", path.to_str().unwrap()];
        by(verb, &bundle, &[&options, more].concat()).ok();
        assert_eq!(fs::read_to_string(&path).unwrap(), bundle.state()["pid"].to_string(), "{verb}");
        bundle.delete_force().ok();
    }
}

#[test]
fn root_that_cannot_be_pivoted_from_is_moved() {
    // As on a machine whose root is a ramfs.
    let bundle = Bundle::sh("ls -d /bin /home 2>/dev/null; true");
    bundle.write_config();
    let log = bundle.dir.join("trace").display().to_string();
    let wrapper = ["strace", "-f", "-qq", "-o", &log, "-e", "inject=pivot_root:error=EINVAL"];
    for verb in VERBS {
        let call = |more: &[&str]| {
            let fixed = [verb, "--bundle", "bundle", "--pid-file", "pid"];
            let words = [&fixed, more, &[bundle.id.as_str()]].concat();
            bundle.begin(&mut bundle.command_under(&wrapper, &words))
        };
        call(&[]).finish().fails("pivot");
        // strace stays until the container has ended.
        let running = call(&["--no-pivot"]);
        if verb == "create" {
            let is_created = || bundle.call(&["start", &bundle.id]).code == Some(0);
            eventually(is_created, || "it is created".to_owned());
        }
        assert_eq!(running.finish().ok().stdout, "/bin\n", "{verb}");
        bundle.delete_force().ok();
    }
}

#[test]
fn session_keyring_is_the_callers() {
    for verb in VERBS {
        for (option, is_new) in [(&[][..], true), (&["--no-new-keyring"], false)] {
            let mut bundle = Bundle::sh("cat /proc/keys");
            bundle.set("/linux/maskedPaths", json!([]));
            let shown = shown_by(verb, &bundle, &[&["--bundle", "bundle"], option].concat());
            assert_eq!(shown.contains(&format!("_ses.{}", bundle.id)), is_new, "{verb} {option:?}: {shown}");
        }
    }
}

#[test]
fn descriptors_are_passed_on() {
    let bundle = Bundle::sh("cat <&3; cat <&4; test -e /proc/self/fd/5 || echo no 5");
    bundle.write_config();
    for name in ["three", "four"] {
        fs::write(bundle.dir.join(name), format!("{name}\n")).unwrap();
    }
    let wrapper = ["sh", "-c", "exec 3<three 4<four 5</; exec \"$@\"", "sh"];
    for verb in VERBS {
        let words = [verb, "--bundle", "bundle", "--pid-file", "pid", "--preserve-fds", "2", &bundle.id];
        let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok();
        if verb == "create" {
            bundle.start().ok();
            bundle.await_and_delete();
        }
        let shown = fs::read_to_string(&outcome.files.0).unwrap();
        assert_eq!(shown, "three\nfour\nno 5\n", "{verb}");
    }
}

#[test]
fn terminal_goes_to_the_console_socket() {
    let mut bundle = Bundle::sh("tty; sleep 100");
    bundle.set("/process/terminal", json!(true)).write_config();
    let socket = bundle.dir.join("sock");
    let listener = terminal::listen(&socket);
    for (verb, more) in [("create", &[][..]), ("run", &["--detach"])] {
        let options = ["--bundle", "bundle", "--console-socket", socket.to_str().unwrap()];
        by(verb, &bundle, &[&options, more].concat()).ok();
        assert_eq!(terminal::receive(&listener).descriptors.len(), 1, "{verb}");
        bundle.delete_force().ok();
    }
}
