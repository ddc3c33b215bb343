//! What a program printed, within a bound.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The first and the last part of a stream: the beginning says what ran, the end says how it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    omitted: u64,
}

impl Captured {
    /// Returns the text, with replacement characters for what is no UTF-8, and a line that marks the cut if there is one.
    pub fn to_text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.omitted == 0 {
            let whole = [self.head.as_slice(), &tail].concat();
            return String::from_utf8_lossy(&whole).into_owned();
        }
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&tail));
        format!("{head}\n[… {} bytes left out …]\n{tail}", self.omitted)
    }

    /// Appends `chunk`, keeping at most `bound` bytes, half of them at the beginning.
    fn push(&mut self, chunk: &[u8], bound: usize) {
        let head_room = (bound / 2).saturating_sub(self.head.len()).min(chunk.len());
        let (head, rest) = chunk.split_at(head_room);
        self.head.extend_from_slice(head);

        let tail_bound = bound - bound / 2;
        let (passed, kept) = rest.split_at(rest.len().saturating_sub(tail_bound));
        let excess = (self.tail.len() + kept.len()).saturating_sub(tail_bound);
        self.tail.drain(..excess);
        self.tail.extend(kept);
        self.omitted += (passed.len() + excess) as u64;
    }

    /// Reads `stream` to its end, so that the writer never waits, however much it writes.
    ///
    /// What was read so far is kept when the future is dropped. An error of a pipe is its end.
    pub async fn drain(&mut self, stream: &mut (impl AsyncRead + Unpin), bound: usize) {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = stream.read(&mut chunk).await {
            self.push(chunk.get(..length).unwrap_or_default(), bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(chunks: &[&str], bound: usize) -> Captured {
        let mut captured = Captured::default();
        for chunk in chunks {
            captured.push(chunk.as_bytes(), bound);
        }
        captured
    }

    #[test]
    fn a_short_stream_is_kept_whole_and_unmarked() {
        assert_eq!(captured(&["abc", "def", "ghij"], 10).to_text(), "abcdefghij");
        assert_eq!(captured(&[], 10).to_text(), "");
    }

    #[test]
    fn a_long_stream_keeps_its_ends_and_says_how_much_is_missing() {
        let long = captured(&["abcdefghij", "k", "lmnopqrstuvwxyz"], 10);
        assert_eq!(long.to_text(), "abcde\n[… 16 bytes left out …]\nvwxyz");
    }

    #[test]
    fn the_chunks_do_not_change_what_is_kept() {
        let text = "0123456789abcdefghijklmnopqrstuvwxyz";
        for size in 1..=text.len() {
            let chunks: Vec<&str> =
                (0..text.len()).step_by(size).map(|at| &text[at..text.len().min(at + size)]).collect();
            assert_eq!(captured(&chunks, 9).to_text(), "0123\n[… 27 bytes left out …]\nvwxyz");
        }
    }

    #[test]
    fn a_character_that_spans_the_parts_survives_where_nothing_is_cut() {
        assert_eq!(captured(&["µµµ"], 6).to_text(), "µµµ");
    }

    #[test]
    fn a_bound_of_nothing_keeps_nothing() {
        assert_eq!(captured(&["abc"], 0).to_text(), "\n[… 3 bytes left out …]\n");
    }
}
