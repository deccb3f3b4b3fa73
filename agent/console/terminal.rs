//! Draws the tree on a terminal while the run goes on.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Style;
use super::tree::Tree;
use crate::engine::{Event, Reporter};

/// How often the picture is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// A reporter that shows the run as a tree on standard error.
///
/// Reporting only takes a note; a thread of its own draws, so a slow terminal never slows the run.
pub struct LiveTree {
    tree: Arc<Mutex<Tree>>,
    end: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl LiveTree {
    /// Starts to draw.
    #[must_use]
    pub fn start(style: Style) -> Arc<Self> {
        let tree = Arc::new(Mutex::new(Tree::new()));
        let (sender, receiver) = channel();
        let shared = Arc::clone(&tree);
        let thread = thread::spawn(move || draw(&shared, &receiver, style));
        Arc::new(Self {
            tree,
            end: Mutex::new(Some((sender, thread))),
        })
    }

    /// Draws for the last time and leaves the picture on the terminal.
    pub fn finish(&self) {
        let end = self
            .end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((sender, thread)) = end {
            drop(sender);
            // A panic while drawing has been printed; the run's result does not depend on it.
            let _ = thread.join();
        }
    }
}

impl Reporter for LiveTree {
    fn report(&self, event: &Event<'_>) {
        self.tree
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(&event.kind, Instant::now());
    }
}

fn draw(tree: &Mutex<Tree>, end: &Receiver<()>, style: Style) {
    let mut drawn = 0;
    for tick in 0.. {
        let last = end.recv_timeout(FRAME) == Err(RecvTimeoutError::Disconnected);
        let lines = {
            let tree = tree.lock().unwrap_or_else(PoisonError::into_inner);
            tree.lines(Instant::now(), tick, style, size())
        };
        // A terminal that is gone is no reason to stop the run.
        if paint(&mut io::stderr().lock(), drawn, &lines).is_err() || last {
            return;
        }
        drawn = lines.len();
    }
}

/// Goes back over what was drawn and draws anew, line by line, so that nothing flickers.
fn paint(out: &mut impl Write, drawn: usize, lines: &[String]) -> io::Result<()> {
    let mut frame = String::new();
    if drawn > 0 {
        let _ = write!(frame, "\x1b[{drawn}A");
    }
    for line in lines {
        let _ = writeln!(frame, "\r{line}\x1b[K");
    }
    frame.push_str("\x1b[J");
    out.write_all(frame.as_bytes())?;
    out.flush()
}

/// The terminal's width and the height that the picture may use.
fn size() -> (usize, usize) {
    terminal_size::terminal_size_of(io::stderr()).map_or((80, 23), |(width, height)| {
        (width.0.into(), usize::from(height.0).max(4) - 1)
    })
}
