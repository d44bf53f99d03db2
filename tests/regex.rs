//! `kill --regex` and `delete --regex`, crun's: several containers at once.

mod support;

use support::{Bundle, skip_on_peer};

/// Two running containers on the root of the first.
fn two() -> (Bundle, Bundle) {
    let (first, second) = (Bundle::sleeper(), Bundle::sleeper());
    first.run_with(&["--detach"]).ok();
    second.write_config();
    let (bundle, pid_file) = (second.path(), second.dir.join("pid"));
    let words = ["run", "-d", "--bundle", bundle.to_str().unwrap(), "--pid-file", pid_file.to_str().unwrap()];
    first.call(&[&words[..], &[second.id.as_str()]].concat()).ok();
    (first, second)
}

#[test]
fn regex_signals_and_deletes_what_it_matches() {
    if skip_on_peer("an option of crun's") {
        return;
    }
    let (first, second) = two();
    first.call(&["kill", "--regex", &format!("^{}$", second.id), "KILL"]).ok();
    second.await_death(second.pid());
    assert_eq!(first.status(), "running");
    let outcome = first.call(&["delete", "--regex", "^cortentest-"]);
    outcome.fails(&format!("{0}: cannot delete container {0} that is not stopped: running", first.id));
    first.call(&["state", &second.id]).fails("container does not exist");
    first.call(&["delete", "-f", "-r", "^cortentest-"]).ok();
    first.call(&["state", &first.id]).fails("container does not exist");
}

#[test]
fn one_that_fails_does_not_spare_the_others() {
    if skip_on_peer("an option of crun's") {
        return;
    }
    let (first, second) = two();
    first.kill("KILL").ok();
    first.await_death(first.pid());
    let outcome =
        first.call(&["kill", "-r", ".", "9"]).fails(&format!("{}: container not running", first.id));
    assert!(!outcome.stderr.contains(&second.id), "{outcome:#?}");
    second.await_death(second.pid());
    first.call(&["delete", "-r", "."]).ok();
}

#[test]
fn expression_that_matches_nothing_is_no_error_and_a_broken_one_is() {
    if skip_on_peer("an option of crun's") {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    bundle.call(&["kill", "-r", "^x$", "KILL"]).ok();
    bundle.call(&["delete", "-r", "^x$"]).ok();
    for verb in ["kill", "delete"] {
        bundle.call(&[verb, "-r", "["]).fails("--regex: \"[\" is no regular expression");
    }
    assert_eq!(bundle.status(), "created");
    bundle.delete().ok();
}
