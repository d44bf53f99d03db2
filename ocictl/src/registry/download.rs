//! A blob as a stream that survives broken connections: what is missing is asked for by `Range` (spec.md, "Pulling blobs").

use super::client::Client;
use super::guard::REFUSAL;
use super::pace::Meter;
use crate::digest::Digest;
use crate::error::Error;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a broken download is taken up again without getting any further.
const MAX_ATTEMPTS: u32 = 5;
/// What counts as having got further: else a peer that hangs up after each byte would be asked for ever.
const PROGRESS: u64 = 64 << 10;
/// Half of what is waited before the second attempt; each wait is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// What others see and say of a download.
#[derive(Debug, Default)]
pub struct Transfer {
    /// Bytes so far.
    pub done: AtomicU64,
    /// Whether somebody wants it to end.
    pub cancelled: AtomicBool,
}

/// The bytes of a blob; no more than were promised, and an error if they are fewer.
pub struct Download<'a> {
    client: &'a Client,
    digest: Digest,
    size: u64,
    position: u64,
    attempts: u32,
    /// The position at the last failure.
    failed_at: u64,
    meter: Meter,
    body: Option<Box<dyn Read + Send + 'a>>,
    transfer: &'a Transfer,
}

impl std::fmt::Debug for Download<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Download({} at {} of {})", self.digest, self.position, self.size)
    }
}

impl<'a> Download<'a> {
    /// Prepares a download of `size` bytes.
    pub fn new(client: &'a Client, digest: &Digest, size: u64, transfer: &'a Transfer) -> Self {
        Self {
            client,
            digest: digest.clone(),
            size,
            position: 0,
            attempts: 0,
            failed_at: 0,
            meter: Meter::new(client.pace),
            body: None,
            transfer,
        }
    }

    /// Asks for the bytes from where we are.
    fn open(&mut self) -> std::result::Result<(), Failure> {
        let range = format!("bytes={}-", self.position);
        let headers: &[(&str, &str)] = if self.position > 0 { &[("range", &range)] } else { &[] };
        let path = self.client.path(&format!("blobs/{}", self.digest));
        let answer = self.client.follow(&path, headers, false).map_err(Failure::of_connection)?;
        let skip = match answer.status {
            206 if self.position > 0 => {
                let range = answer.header("content-range").and_then(|range| range.strip_prefix("bytes "));
                let from = range.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
                if from != Some(self.position) {
                    let said = format!("the registry goes on at another byte than {}", self.position);
                    return Err(Failure::Final(Error::new(said)));
                }
                0
            }
            // It knows no ranges: what is here already comes once more.
            200 => self.position,
            408 | 429 | 500..600 => return Err(Failure::Passing(answer.refusal())),
            _ => return Err(Failure::Final(self.client.refused(answer))),
        };
        let wanted = self.size - self.position + skip;
        let length = answer.header("content-length").and_then(|length| length.parse::<u64>().ok());
        if let Some(length) = length.filter(|length| *length != wanted) {
            let said = format!("the registry sends {length} bytes where {wanted} were promised");
            return Err(Failure::Final(Error::new(said)));
        }
        let mut body: Box<dyn Read + Send> = Box::new(answer.body.into_reader());
        self.pass_over(&mut body, skip)?;
        self.body = Some(body);
        Ok(())
    }

    /// Takes bytes that are here already.
    fn pass_over(&mut self, body: &mut dyn Read, bytes: u64) -> std::result::Result<(), Failure> {
        let mut left = body.take(bytes);
        let mut buffer = [0; 16 << 10];
        while left.limit() > 0 {
            let begun = Instant::now();
            match left.read(&mut buffer) {
                Ok(0) => return Err(Failure::Passing(Error::new("the connection broke again"))),
                Ok(length) => self.meter.count(length, begun.elapsed()).map_err(Failure::Passing)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Passing(error.into())),
            }
        }
        Ok(())
    }

    /// Counts a failure; waits, or gives up.
    fn again(&mut self, failure: Failure) -> io::Result<()> {
        self.body = None;
        if self.position >= self.failed_at + PROGRESS {
            self.attempts = 0;
        }
        self.failed_at = self.position;
        self.attempts += 1;
        let error = match failure {
            Failure::Passing(_) if self.attempts < MAX_ATTEMPTS => {
                std::thread::sleep(FIRST_WAIT * (1 << self.attempts));
                return Ok(());
            }
            Failure::Passing(error) | Failure::Final(error) => error,
        };
        Err(io::Error::other(
            error.context(format!("at byte {} of {}", self.position, self.size)).to_string(),
        ))
    }
}

/// What went wrong, and whether it may go right the next time.
enum Failure {
    Passing(Error),
    Final(Error),
}

impl Failure {
    /// Of a request without an answer: the line may be better later, a redirect or a certificate will not.
    fn of_connection(error: Error) -> Self {
        let said = error.to_string();
        let is_final = ["redirect", "certificate", "is no URL", "does not speak TLS", REFUSAL]
            .iter()
            .any(|words| said.contains(words));
        if is_final { Self::Final(error) } else { Self::Passing(error) }
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.transfer.cancelled.load(Ordering::Relaxed) {
                return Err(io::Error::other("cancelled"));
            }
            let Some(body) = &mut self.body else {
                if self.position == self.size {
                    return Ok(0);
                }
                if let Err(failure) = self.open() {
                    self.again(failure)?;
                }
                continue;
            };
            let left = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
            if left == 0 {
                // Whatever follows was not promised.
                let more = body.read(&mut [0]).unwrap_or(0);
                self.body = None;
                return if more == 0 {
                    Ok(0)
                } else {
                    Err(io::Error::other(format!("more bytes than the {} that were promised", self.size)))
                };
            }
            let length = left.min(buffer.len());
            let begun = Instant::now();
            match body.read(&mut buffer[..length]) {
                Ok(0) if length > 0 => self.again(Failure::Passing(Error::new("the connection broke")))?,
                Ok(length) => {
                    self.position += length as u64;
                    self.transfer.done.fetch_add(length as u64, Ordering::Relaxed);
                    // What came is taken; another connection may be faster.
                    if let Err(slow) = self.meter.count(length, begun.elapsed()) {
                        self.again(Failure::Passing(slow))?;
                    }
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.again(Failure::Passing(Error::new(error.to_string())))?,
            }
        }
    }
}
