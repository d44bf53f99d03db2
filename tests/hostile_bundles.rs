//! Bundles that were made to hurt: ids at the edge of their range, masks and sysctls that would reach the host, files that
//! are none, names that steer a terminal.

mod support;

use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use support::{Bundle, leaks, runtime};

#[test]
fn ids_that_mean_leave_it_as_it_is_are_refused() {
    // setresuid(-1) changes nothing: the container would run as the caller, root.
    for (property, value) in [
        ("user/uid", json!(4_294_967_295_u32)),
        ("user/gid", json!(2_147_483_648_u32)),
        ("user/additionalGids", json!([1, 4_294_967_295_u32])),
    ] {
        let mut bundle = Bundle::new();
        bundle.set(&format!("/process/{property}"), value);
        bundle.create().fails("uids and gids must be in range 0-2147483647");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn a_mask_cannot_be_used_to_change_the_hosts_null_device() {
    let before = fs::metadata("/dev/null").unwrap();
    let mut bundle = Bundle::new();
    bundle.set("/linux/maskedPaths", json!(["/proc/keys", "/proc/timer_list"]));
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(
            &format!("/process/capabilities/{set}"),
            json!(["CAP_FOWNER", "CAP_CHOWN", "CAP_DAC_OVERRIDE"]),
        );
    }
    let script = "chmod 1666 /proc/keys; chown 7:7 /proc/timer_list; touch /proc/keys; echo x > /proc/keys; cat /proc/keys";
    assert_eq!(bundle.payload(&format!("{script}; true")), "");
    let after = fs::metadata("/dev/null").unwrap();
    assert_eq!((before.mode(), before.uid(), before.gid()), (after.mode(), after.uid(), after.gid()));
}

#[test]
fn the_root_among_the_readonly_paths_is_read_only() {
    let mut bundle = Bundle::new();
    bundle.set("/linux/readonlyPaths", json!(["/"]));
    assert_eq!(bundle.payload("touch /new 2>/dev/null; echo $?"), "1\n");
}

#[test]
fn the_root_cannot_be_masked() {
    let mut bundle = Bundle::new();
    bundle.set("/linux/maskedPaths", json!(["/proc/keys", "/"]));
    bundle.create().fails("linux.maskedPaths[1]: the root itself cannot be masked");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn a_sysctl_does_not_reach_the_host_through_the_path_of_its_namespace() {
    let mut bundle = Bundle::new();
    bundle.namespace("network", Some("/proc/self/ns/net"));
    bundle.set("/linux/sysctl", json!({ "net.ipv4.tcp_fin_timeout": "61" }));
    let before = fs::read_to_string("/proc/sys/net/ipv4/tcp_fin_timeout").unwrap();
    let words = if runtime::is_peer() {
        "not allowed"
    } else {
        "is the runtime's own, which linux.sysctl would change"
    };
    bundle.create().fails(words);
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/tcp_fin_timeout").unwrap(), before);
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn a_configuration_that_is_no_file_is_refused_and_not_waited_for() {
    if runtime::skip_on_peer("runc waits for the writer of a pipe") {
        return;
    }
    let bundle = Bundle::new();
    bundle.write_config();
    let config = bundle.path().join("config.json");
    for (words, make) in [
        ("config.json: is not a regular file", ["mkfifo"].as_slice()),
        ("config.json: is not a regular file", &["ln", "-s", "/dev/zero"]),
        ("config.json: is a directory", &["mkdir"]),
    ] {
        let _removed = fs::remove_file(&config).or_else(|_| fs::remove_dir(&config));
        assert!(Command::new(make[0]).args(&make[1..]).arg(&config).status().unwrap().success());
        bundle.call(&["create", "--bundle", "bundle", &bundle.id]).fails(words);
    }
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn a_log_on_a_pipe_that_nobody_reads_is_refused() {
    if runtime::skip_on_peer("runc waits for the reader") {
        return;
    }
    let bundle = Bundle::new();
    assert!(Command::new("mkfifo").arg(bundle.dir.join("log")).status().unwrap().success());
    bundle.call(&["--log", "log", "state", "none"]).fails("--log log: no such device or address");
}

#[test]
fn a_command_line_that_cannot_be_understood_is_in_the_log() {
    if runtime::skip_on_peer("runc has its own words") {
        return;
    }
    let bundle = Bundle::new();
    assert_eq!(bundle.call(&["--log", "log", "--log-format=json", "create"]).code, Some(1));
    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(bundle.dir.join("log")).unwrap()).unwrap();
    assert_eq!(record["level"], "error");
    assert!(record["msg"].as_str().unwrap().contains("required arguments"), "{record}");
}

#[test]
fn an_error_is_one_line_and_steers_no_terminal() {
    let mut bundle = Bundle::new();
    bundle.set("/process/args", json!(["/no\nsuch\u{1b}[2J"]));
    let outcome = bundle.create();
    assert_eq!(outcome.code, Some(1));
    if !runtime::is_peer() {
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
        assert!(!outcome.stderr.contains('\u{1b}'), "{outcome:#?}");
    }
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn more_groups_than_a_page_holds_are_set() {
    let mut bundle = Bundle::new();
    let groups: Vec<u32> = (10_000..16_000).collect();
    bundle.set("/process/user/additionalGids", json!(groups));
    assert_eq!(bundle.payload("grep Groups /proc/self/status | wc -w"), "6001\n");
}

#[test]
fn signal_0_asks_whether_the_container_runs() {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    bundle.kill("0").ok();
    bundle.kill_and_delete();
}

#[test]
fn a_bundle_with_dots_is_told_by_its_real_path() {
    let bundle = Bundle::sleeper();
    bundle.write_config();
    fs::create_dir(bundle.dir.join("other")).unwrap();
    fs::set_permissions(bundle.dir.join("other"), fs::Permissions::from_mode(0o755)).unwrap();
    bundle.call(&["create", "--bundle", "other/../bundle/.", &bundle.id]).ok();
    assert_eq!(bundle.state()["bundle"], bundle.path().to_str().unwrap());
    bundle.delete_force().ok();
}
