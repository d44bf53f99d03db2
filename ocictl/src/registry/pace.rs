//! How slowly a registry may send, or take what is sent. A peer that says nothing is given up after a minute; one that says a byte a
//! minute would never be.

use crate::error::{Error, Result};
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// By this variable the caller says how slow is too slow.
const VARIABLE: &str = "OCICTL_MIN_RATE";

/// The least that must come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes a second; 0 for whatever comes.
    pub bytes: u64,
    /// What is waited before anybody is judged.
    pub window: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bytes: 1024, window: Duration::from_secs(60) }
    }
}

impl Pace {
    /// What `OCICTL_MIN_RATE` says: `BYTES` a second, or `BYTES/SECONDS`.
    ///
    /// # Errors
    /// Says what was read if it is neither.
    pub fn configured() -> Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => Self::parse(&text).ok_or_else(|| {
                Error::new(format!("{VARIABLE}: \"{text}\" is neither BYTES (a second) nor BYTES/SECONDS"))
            }),
            _ => Ok(Self::default()),
        }
    }

    /// How long nothing at all may be taken, where `silence` is what is waited for anybody.
    pub fn patience(&self, silence: Duration) -> Duration {
        if self.bytes == 0 { silence } else { self.window.min(silence) }
    }

    fn parse(text: &str) -> Option<Self> {
        let (bytes, seconds) = match text.split_once('/') {
            Some((bytes, seconds)) => (bytes, Some(seconds)),
            None => (text, None),
        };
        // `parse` alone takes a sign.
        let number = |text: &str| text.parse::<u32>().ok().filter(|_| !text.starts_with('+'));
        let window = match seconds {
            Some(seconds) => Duration::from_secs(number(seconds).filter(|seconds| *seconds > 0)?.into()),
            None => Self::default().window,
        };
        Some(Self { bytes: number(bytes)?.into(), window })
    }
}

/// Counts what comes or goes, and the time that was spent waiting for it: what we do with it meanwhile is not the peer's fault.
#[derive(Debug)]
pub struct Meter {
    pace: Pace,
    waited: Duration,
    bytes: u64,
}

impl Meter {
    /// Begins to count.
    pub fn new(pace: Pace) -> Self {
        Self { pace, waited: Duration::ZERO, bytes: 0 }
    }

    /// Counts bytes and how long they took.
    ///
    /// # Errors
    /// Says how little it was, if that is too little.
    pub fn count(&mut self, bytes: usize, waited: Duration) -> Result<()> {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.waited < self.pace.window {
            return Ok(());
        }
        let (bytes, seconds) = (self.bytes, self.waited.as_secs_f64());
        (self.bytes, self.waited) = (0, Duration::ZERO);
        // Seconds and bytes are far below 2^52.
        if bytes as f64 >= self.pace.bytes as f64 * seconds {
            return Ok(());
        }
        Err(Error::new(format!(
            "too slow: {bytes} bytes in {seconds:.0} seconds, and {VARIABLE} wants {} a second",
            self.pace.bytes
        )))
    }
}

/// What is sent: until more is asked for, the peer is taking what it was given.
#[derive(Debug)]
pub struct Paced<R> {
    source: R,
    meter: Meter,
    given: Option<(usize, Instant)>,
}

impl<R> Paced<R> {
    /// Judges who takes what `source` yields.
    pub fn new(source: R, pace: Pace) -> Self {
        Self { source, meter: Meter::new(pace), given: None }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some((bytes, since)) = self.given.take() {
            let judged = self.meter.count(bytes, since.elapsed());
            judged.map_err(|slow| io::Error::other(slow.to_string()))?;
        }
        let length = self.source.read(buffer)?;
        self.given = Some((length, Instant::now()));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_bytes_and_seconds() {
        let pace = |bytes, seconds| Some(Pace { bytes, window: Duration::from_secs(seconds) });
        for (text, wanted) in [
            ("0", pace(0, 60)),
            ("5000", pace(5000, 60)),
            ("1/2", pace(1, 2)),
            ("1/0", None),
            ("1/", None),
            ("/1", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1k", None),
            ("1/2/3", None),
        ] {
            assert_eq!(Pace::parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn only_waiting_counts_and_only_in_whole_windows() {
        let mut meter = Meter::new(Pace { bytes: 100, window: Duration::from_secs(10) });
        let second = Duration::from_secs(1);
        for _ in 0..9 {
            meter.count(1, second).expect("the window is not over");
        }
        let said = meter.count(1, second).expect_err("ten bytes in ten seconds").to_string();
        assert!(said.contains("10 bytes in 10 seconds"), "{said}");
        for _ in 0..30 {
            meter.count(100, second).expect("just fast enough");
        }
        let mut any = Meter::new(Pace { bytes: 0, window: second });
        any.count(0, second * 100).expect("nothing is wanted");
    }
}
