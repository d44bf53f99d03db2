//! Names of kernel parameters (sysctl.d(5)). Either separator may stand first and decides: `net.core.somaxconn` and
//! `net/core/somaxconn` are the same, and so are `net.ipv4.conf.eno2/100.rp_filter` and
//! `net/ipv4/conf/eno2.100/rp_filter`.

/// The path below `/proc/sys` of a parameter; none if the name has an empty component, `.` or `..`, which would lead
/// somewhere else.
pub fn path(name: &str) -> Option<String> {
    let dots_separate = name.find(['.', '/']).is_some_and(|first| name[first..].starts_with('.'));
    let path: String = if dots_separate { name.chars().map(swap).collect() } else { name.to_owned() };
    let is_sound = path.split('/').all(|component| !matches!(component, "" | "." | ".."));
    is_sound.then_some(path)
}

fn swap(letter: char) -> char {
    match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_decides() {
        for (name, expected) in [
            ("net.core.somaxconn", Some("net/core/somaxconn")),
            ("net/core/somaxconn", Some("net/core/somaxconn")),
            ("net.ipv4.conf.eno2/100.rp_filter", Some("net/ipv4/conf/eno2.100/rp_filter")),
            ("net/ipv4/conf/eno2.100/rp_filter", Some("net/ipv4/conf/eno2.100/rp_filter")),
            ("net/../kernel/core_pattern", None),
            ("net.//.kernel.core_pattern", None),
            ("net./.kernel", None),
            ("net..core", None),
            ("/net/core", None),
            ("", None),
        ] {
            assert_eq!(path(name).as_deref(), expected, "{name}");
        }
    }
}
