//! Server-sent events, as far as models' endpoints use them: each event's data.

/// A stream of events, read piece by piece. What has no line's end yet waits.
#[derive(Debug, Default)]
pub(super) struct Events {
    pending: Vec<u8>,
    data: Option<String>,
}

impl Events {
    /// Takes in a piece, and returns the data of the events that it completes.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for byte in piece {
            if *byte != b'\n' {
                self.pending.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.pending);
            whole.extend(self.line(&String::from_utf8_lossy(&line)));
        }
        whole
    }

    /// Returns the data of an event that the stream ended in: some servers leave out the last empty line.
    pub(super) fn end(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.pending);
        self.line(&String::from_utf8_lossy(&line)).or_else(|| self.data.take())
    }

    fn line(&mut self, line: &str) -> Option<String> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return self.data.take();
        }
        // Comments and the other fields say nothing that the data does not.
        let data = line.trim_start_matches('\u{feff}').strip_prefix("data:")?;
        let data = data.strip_prefix(' ').unwrap_or(data);
        match &mut self.data {
            Some(before) => {
                before.push('\n');
                before.push_str(data);
            }
            None => self.data = Some(data.to_owned()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let stream = ": hello\r\nevent: x\r\ndata: {\"é\":1}\r\n\r\ndata:a\ndata: b\n\n\nretry: 3\n\ndata: [DONE]";
        let mut whole = Events::default();
        let mut expected = whole.push(stream.as_bytes());
        expected.extend(whole.end());
        assert_eq!(expected, ["{\"é\":1}", "a\nb", "[DONE]"]);
        let mut bytewise = Events::default();
        let mut found: Vec<String> = stream.bytes().flat_map(|byte| bytewise.push(&[byte])).collect();
        found.extend(bytewise.end());
        assert_eq!(found, expected);
        assert_eq!(bytewise.end(), None);
    }
}
