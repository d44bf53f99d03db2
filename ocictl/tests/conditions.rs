//! `wait --condition` and `healthcheck run`.

mod engine;

use engine::{Engine, IMAGE};

const SICK: &str = "test -e /tmp/well";

/// A container that is well when `/tmp/well` is there, and is not asked by itself.
fn patient(engine: &Engine) {
    let check = ["--health-cmd", SICK, "--health-interval", "1h", "--health-retries", "2"];
    engine.ok(&[&["run", "-d", "--name", "c"], &check[..], &[IMAGE, "sleep", "1000"]].concat());
}

#[test]
fn a_health_check_is_made_at_once_and_counted() {
    let engine = Engine::new("check-now");
    patient(&engine);
    let check = || engine.run(&["healthcheck", "run", "c"]);
    let state = || engine.ask("c", "{{.State.Health.Status}} {{.State.Health.FailingStreak}}");
    assert_eq!(state(), "starting 0");
    assert_eq!(check(), (1, "unhealthy".into(), String::new()));
    assert_eq!(state(), "starting 1");
    assert_eq!(check().0, 1);
    assert_eq!(state(), "unhealthy 2");
    engine.ok(&["exec", "c", "touch", "/tmp/well"]);
    assert_eq!(check(), (0, String::new(), String::new()));
    assert_eq!(state(), "healthy 0");
    engine.ok(&["run", "-d", "--name", "plain", IMAGE, "sleep", "1000"]);
    let refused = |name: &str, why: &str| {
        let (code, out, said) = engine.run(&["healthcheck", "run", name]);
        assert_eq!((code, out.as_str()), (125, ""), "{name}: {said}");
        assert!(said.contains(why), "{name}: {said}");
    };
    refused("plain", "container plain: it has no health check");
    refused("nothere", "nothere");
    engine.ok(&["pause", "c"]);
    refused("c", "container c: it is paused, not running");
    engine.ok(&["unpause", "c"]);
    engine.ok(&["stop", "-t", "0", "c"]);
    refused("c", "container c: it is exited, not running");
    engine.ok(&["rm", "-f", "-a"]);
    engine.assert_clean();
}

#[test]
fn a_check_that_takes_too_long_has_failed() {
    let engine = Engine::new("check-long");
    let check = ["--health-cmd", "sleep 1000", "--health-interval", "1h", "--health-timeout", "300ms"];
    engine.ok(&[&["run", "-d", "--name", "c"], &check[..], &[IMAGE, "sleep", "1000"]].concat());
    assert_eq!(engine.run(&["healthcheck", "run", "c"]).0, 1);
    assert!(engine.ask("c", "{{json .State.Health.Log}}").contains("exceeded its timeout"));
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn wait_waits_for_what_it_was_told() {
    let engine = Engine::new("conditions");
    let wait = |words: &[&str]| {
        let words = [&["wait", "-i", "20ms"], words].concat();
        engine.spawn(&words)
    };
    let end = |child: std::process::Child| {
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    };
    let told = |code: &str| (0, code.to_owned(), String::new());
    let check = ["--health-cmd", SICK, "--health-interval", "50ms", "--health-retries", "1"];
    engine.ok(&[&["create", "--name", "c"], &check[..], &[IMAGE, "sh", "-c", "sleep 1000"]].concat());
    // What is true already is not waited for.
    assert_eq!(end(wait(&["--condition", "created", "c"])), told("-1"));
    let mut running = wait(&["--condition", "running", "c"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(running.try_wait().expect("a child").is_none());
    engine.ok(&["start", "c"]);
    assert_eq!(end(running), told("-1"));
    assert_eq!(end(wait(&["--condition=unhealthy", "c"])), told("-1"));
    let healthy = wait(&["--condition", "healthy", "c"]);
    engine.ok(&["exec", "c", "touch", "/tmp/well"]);
    assert_eq!(end(healthy), told("-1"));
    let either = wait(&["--condition", "exited", "--condition", "paused", "c"]);
    engine.ok(&["pause", "c"]);
    assert_eq!(end(either), told("-1"));
    engine.ok(&["unpause", "c"]);
    let conditions = ["stopped", "exited,paused", "unhealthy"];
    let mut waiting = conditions.map(|condition| wait(&["--condition", condition, "c"]));
    std::thread::sleep(std::time::Duration::from_millis(300));
    for (child, condition) in waiting.iter_mut().zip(conditions) {
        assert!(child.try_wait().expect("a child").is_none(), "{condition}");
    }
    let [stopped, either, never] = waiting;
    engine.ok(&["stop", "-t", "0", "c"]);
    assert_eq!(end(stopped), told("137"));
    assert_eq!(end(either), told("137"));
    // What cannot come any more is not waited for.
    let (code, _, said) = end(never);
    assert_eq!((code, said.contains("container c: it has ended")), (125, true), "{said}");
    let removed = wait(&["--condition", "removed", "c"]);
    std::thread::sleep(std::time::Duration::from_millis(200));
    engine.ok(&["rm", "c"]);
    assert_eq!(end(removed), told("137"));
    assert_eq!(end(wait(&["--ignore", "c"])), told("-1"));
    assert_eq!(end(wait(&["--condition", "running", "c"])).0, 1);
    let (code, _, said) = end(wait(&["--condition", "happy", "c"]));
    assert_eq!((code, said.contains("--condition: \"happy\" is none of stopped")), (125, true), "{said}");
    engine.ok(&["create", "--name", "plain", IMAGE]);
    assert_eq!(end(wait(&["--condition", "healthy", "plain"])).0, 125);
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}

#[test]
fn nobody_waits_for_health_that_nobody_asks_for() {
    let engine = Engine::new("health-alone");
    let health = ["--health-cmd", "true", "--health-interval", "1h"];
    engine.ok(&[&["run", "-d", "--name", "c"], &health[..], &[IMAGE, "sleep", "1000"]].concat());
    let monitor: i32 = engine.ask("c", "{{.State.ConmonPid}}").parse().expect("a pid");
    let monitor = rustix::process::Pid::from_raw(monitor).expect("it is there");
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).expect("killed");
    let (code, _, said) = engine.run(&["wait", "--condition", "unhealthy", "c"]);
    assert!(code == 125 && said.contains("nobody asks for its health any more"), "{code}: {said}");
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}
