//! Progress on standard error: bars on a terminal, lines in a pipe.

use super::table::harmless;
use super::units;
use crate::image::progress::Progress;
use crate::registry::download::Transfer;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often bars are drawn.
const FRAME: Duration = Duration::from_millis(100);
const BAR: usize = 30;

/// Shows progress until it is dropped.
#[derive(Debug)]
pub struct Shown {
    lines: Arc<Mutex<Lines>>,
    ended: Arc<AtomicBool>,
    painter: Option<JoinHandle<()>>,
    quiet: bool,
}

#[derive(Debug, Default)]
struct Lines {
    active: Vec<Line>,
    /// Lines that stand on the terminal now and are drawn over.
    drawn: usize,
}

#[derive(Debug)]
struct Line {
    name: String,
    total: u64,
    transfer: Arc<Transfer>,
}

impl Shown {
    /// Begins to show; nothing at all if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let lines: Arc<Mutex<Lines>> = Arc::default();
        let ended = Arc::new(AtomicBool::new(false));
        let painter = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let (lines, ended) = (Arc::clone(&lines), Arc::clone(&ended));
            std::thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    if let Ok(mut lines) = lines.lock() {
                        lines.draw();
                    }
                    std::thread::park_timeout(FRAME);
                }
            })
        });
        Self { lines, ended, painter, quiet }
    }

    fn print(&self, text: &str) {
        if !self.quiet {
            self.print_always(text);
        }
    }

    fn print_always(&self, text: &str) {
        if let Ok(mut lines) = self.lines.lock() {
            lines.clear();
            let _nobody_may_look = writeln!(std::io::stderr(), "{}", harmless(text));
            if self.painter.is_some() {
                lines.draw();
            }
        }
    }
}

impl Progress for Shown {
    fn say(&self, line: &str) {
        self.print(line);
    }

    fn warn(&self, line: &str) {
        self.print_always(&format!("Warning: {line}"));
    }

    fn begin(&self, name: &str, total: u64, transfer: &Arc<Transfer>) {
        if let Ok(mut lines) = self.lines.lock() {
            lines.active.push(Line { name: name.to_owned(), total, transfer: Arc::clone(transfer) });
        }
    }

    fn end(&self, name: &str, how: &str) {
        let mut size = String::new();
        if let Ok(mut lines) = self.lines.lock()
            && let Some(at) = lines.active.iter().position(|line| line.name == name)
        {
            size = format!(" ({})", units::size(lines.active.remove(at).total));
        }
        self.print(&format!("Layer {name} {how}{size}"));
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(painter) = self.painter.take() {
            painter.thread().unpark();
            let _it_only_draws = painter.join();
            if let Ok(mut lines) = self.lines.lock() {
                lines.clear();
            }
        }
    }
}

impl Lines {
    fn clear(&mut self) {
        if self.drawn > 0 {
            let _nobody_may_look = write!(std::io::stderr(), "\x1b[{}A\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    fn draw(&mut self) {
        self.clear();
        let text: String = self.active.iter().map(|line| line.text() + "\n").collect();
        let _nobody_may_look = std::io::stderr().write_all(text.as_bytes());
        self.drawn = self.active.len();
    }
}

impl Line {
    fn text(&self) -> String {
        let done = self.transfer.done.load(Ordering::Relaxed).min(self.total);
        let full = usize::try_from(done * BAR as u64 / self.total.max(1)).unwrap_or(BAR);
        format!(
            "Layer {} [{}{}] {} of {}",
            self.name,
            "=".repeat(full),
            " ".repeat(BAR - full),
            units::size(done),
            units::size(self.total)
        )
    }
}
