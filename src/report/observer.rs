//! Who watches a run: the seam, the observer for programs, and the one that keeps quiet.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::protocol::{Event, Moment, RunState};
use crate::runner::Progress;

use super::run::Report;
use super::status::Liveness;
use super::steps;
use super::style::Tone;

/// Watches a run from outside: nothing that it does or fails to do changes the run.
pub trait Observer {
    /// An event is in the journal as `line`; it led from the moment `before` to the state `after`. For a run's first event
    /// both are of the same state.
    fn event(&mut self, before: &Moment, event: &Event, line: &str, after: &RunState);

    /// The measurement under way has come so far.
    fn progress(&mut self, progress: Progress);

    /// Something worth a line that is no event of the run.
    fn note(&mut self, text: &str);
}

/// Writes for a reader that may go away: a closed terminal or pipe costs the output, never the night.
#[derive(Debug)]
pub(super) struct Outlet<W> {
    writer: Option<W>,
}

impl<W: Write> Outlet<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer: Some(writer) }
    }

    /// Writes and flushes. Once the reader is gone nothing is written any more; any other failure costs this text alone.
    pub(super) fn put(&mut self, text: &str) {
        let Some(writer) = &mut self.writer else { return };
        let written = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
        if written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
            self.writer = None;
        }
    }
}

/// The observer for programs (`--json`): the journal's lines as they are, one a line.
#[derive(Debug)]
pub struct Json<W> {
    out: Outlet<W>,
}

impl<W: Write> Json<W> {
    /// Returns an observer that writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out: Outlet::new(out) }
    }
}

impl<W: Write> Observer for Json<W> {
    fn event(&mut self, _before: &Moment, _event: &Event, line: &str, _after: &RunState) {
        let line = line.strip_suffix('\n').unwrap_or(line);
        self.out.put(&format!("{line}\n"));
    }

    fn progress(&mut self, _progress: Progress) {}

    fn note(&mut self, _text: &str) {}
}

/// The observer that keeps quiet (`--quiet`): errors, and the run's end in one line.
#[derive(Debug)]
pub struct Quiet<W> {
    out: Outlet<W>,
    folder: PathBuf,
}

impl<W: Write> Quiet<W> {
    /// Returns an observer that writes to `out`; the run's files lie in `folder`.
    pub fn new(out: W, folder: PathBuf) -> Self {
        Self { out: Outlet::new(out), folder }
    }
}

impl<W: Write> Observer for Quiet<W> {
    fn event(&mut self, before: &Moment, event: &Event, _line: &str, after: &RunState) {
        if let Event::RunStopped { .. } = event {
            let summary = Report::new(after, after.last_event, Liveness::Gone, &self.folder).summary();
            self.out.put(&format!("{summary}\n"));
        } else if let Some((Tone::Bad, text)) = steps::step(before, event, after) {
            self.out.put(&format!("{}\n", Tone::Bad.paint(&text)));
        }
    }

    fn progress(&mut self, _progress: Progress) {}

    fn note(&mut self, _text: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StopReason;
    use crate::report::Human;
    use crate::report::Meter;
    use crate::report::night::{Night, plain};
    use std::io;

    /// A writer whose every write fails.
    #[derive(Debug)]
    struct Closed {
        kind: ErrorKind,
        tries: u32,
    }

    impl Write for &mut Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.tries += 1;
            Err(self.kind.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn programs_get_the_journal_s_lines_as_they_are() {
        let mut out = Vec::new();
        let night = Night::success();
        let mut observer = Json::new(&mut out);
        night.show(&mut observer);
        observer.progress(Progress::Building);
        observer.note("not for programs");
        observer.event(&night.state.moment(), &Event::TurnStarted {}, "{\"already\":\"ended\"}\n", &night.state);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("{\"seq\":0}\n{\"seq\":1}\n"), "{text}");
        assert!(text.ends_with("}\n{\"already\":\"ended\"}\n"), "{text}");
    }

    #[test]
    fn quiet_says_one_line_at_the_end() {
        let mut out = Vec::new();
        Night::success().show(&mut Quiet::new(&mut out, "/runs/night-1".into()));
        insta::assert_snapshot!(plain(&String::from_utf8(out).unwrap()));
    }

    #[test]
    fn quiet_says_what_went_wrong_before_it_says_the_end() {
        let mut out = Vec::new();
        let mut night = Night::begin();
        night.baseline(812.0).apply(Event::Blocked { message: "no API key:\nset OPENAI_API_KEY".to_owned() });
        night.stop(StopReason::Blocked { message: "no API key:\nset OPENAI_API_KEY".to_owned() });
        night.show(&mut Quiet::new(&mut out, "/runs/night-1".into()));
        let text = plain(&String::from_utf8(out).unwrap());
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("blocked: no API key: set OPENAI_API_KEY\nrun night-1: blocked"), "{text}");
    }

    #[test]
    fn a_closed_pipe_is_tried_once_and_a_full_disk_again_and_neither_ends_the_night() {
        for (kind, again) in [(ErrorKind::BrokenPipe, false), (ErrorKind::StorageFull, true)] {
            let mut closed = Closed { kind, tries: 0 };
            Night::success().show(&mut Human::new(&mut closed, Meter::hidden(), "/runs/night-1".into()));
            assert_eq!(closed.tries > 1, again, "{kind}");
        }
    }
}
