//! Whether the requests of a replay are in the words of the recorded ones.

use similar::{ChangeTag, TextDiff};

use super::api::{Context, ModelError, Turn, View};
use super::message::{Message, Sent};

/// Makes what builds the requests of one process.
pub type MakeContext = Box<dyn Fn() -> Box<dyn Context>>;

/// The most lines of a difference that are shown.
const MOST_LINES: usize = 10;
/// The most characters of each.
const MOST_WIDTH: usize = 160;

/// Builds the requests that today's code would send, beside the recorded ones.
pub(super) struct Rehearsal {
    make: MakeContext,
    context: Box<dyn Context>,
    /// The turn whose request comes next.
    next: usize,
    /// The last recorded request.
    recorded: Vec<Message>,
    /// The last one that was built.
    built: Vec<Message>,
}

impl Rehearsal {
    pub(super) fn new(make: MakeContext) -> Self {
        Self { context: make(), make, next: 0, recorded: Vec::new(), built: Vec::new() }
    }

    /// Builds the request of turn `number`, and compares it with what was `sent` then. Returns what would be sent now.
    ///
    /// A process that goes on in the middle of a recording has not seen what the recorded one had: it compares nothing until
    /// the recorded run was resumed as well.
    pub(super) fn check(
        &mut self,
        view: View<'_>,
        number: usize,
        sent: &Sent,
        turn: &Turn,
    ) -> Result<Option<Sent>, ModelError> {
        let begins = sent.kept == 0;
        if number != self.next && !begins {
            return Ok(None);
        }
        self.next = number + 1;
        let mut view = view;
        if begins && number > 0 {
            (self.context, self.built) = ((self.make)(), Vec::new());
            view.results = &[];
        }
        sent.apply(&mut self.recorded);
        let wanted = words(&self.recorded);
        let mut request = self.context.request(&view)?;
        if sent.renewed {
            self.context.renew();
            request = self.context.request(&view)?;
        }
        // Where the endpoint found a request too long, the recorded one is a smaller one.
        while words(&request) != wanted && self.context.shrink() {
            request = self.context.request(&view)?;
        }
        let found = words(&request);
        if found != wanted {
            return Err(ModelError::Failed(format!(
                "the request of turn {number} is not in the words of the recorded one (- recorded, + now; figures and hashes \
                 are #):\n{}",
                difference(&wanted, &found)
            )));
        }
        self.context.answered(turn);
        let sent = Sent::between(&self.built, &request);
        self.built = request;
        Ok(Some(sent))
    }
}

/// Returns the words of a request, line by line, without the figures: no two measurements are alike.
fn words(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages {
        let said = match message {
            Message::System { text } => format!("[system]\n{text}\n"),
            Message::User { text } => format!("[user]\n{text}\n"),
            Message::Assistant { text, calls } => {
                let calls: Vec<_> = calls.iter().map(|call| format!("{} {}\n", call.tool, call.arguments)).collect();
                format!("[assistant]\n{text}\n{}", calls.concat())
            }
            Message::Tool { text, .. } => format!("[tool]\n{text}\n"),
        };
        text.push_str(&masked(&said));
    }
    text
}

/// Returns `text` with `#` in the place of every number and every hash.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let length = if before.is_alphanumeric() || before == '_' { None } else { hash(rest).or_else(|| number(rest)) };
        let (shown, length) = match length {
            Some(length) => ("#", length),
            None => (rest.get(..c.len_utf8()).unwrap_or_default(), c.len_utf8()),
        };
        masked.push_str(shown);
        before = rest.get(..length).and_then(|taken| taken.chars().next_back()).unwrap_or(' ');
        rest = rest.get(length..).unwrap_or_default();
    }
    masked
}

/// Returns the length of the hash or sha at the beginning of `text`.
fn hash(text: &str) -> Option<usize> {
    let length = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let word = text.get(..length)?;
    let is_hex = word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (is_hex && length >= 7 && word.bytes().any(|byte| byte.is_ascii_digit())).then_some(length)
}

/// Returns the length of the decimal number at the beginning of `text`, sign and exponent included.
fn number(text: &str) -> Option<usize> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = text.starts_with(['-', '+']).into();
    let whole = digits(text.get(sign..)?);
    if whole == 0 {
        return None;
    }
    let mut end = sign + whole;
    if let Some(fraction) = text.get(end..)?.strip_prefix('.').map(digits).filter(|length| *length > 0) {
        end += 1 + fraction;
    }
    if let Some(exponent) = text.get(end..)?.strip_prefix(['e', 'E']) {
        let sign = exponent.starts_with(['-', '+']).into();
        let length = digits(exponent.get(sign..)?);
        end += if length > 0 { 1 + sign + length } else { 0 };
    }
    Some(end)
}

fn difference(recorded: &str, now: &str) -> String {
    let diff = TextDiff::from_lines(recorded, now);
    let changed = diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal);
    let line = |change: similar::Change<&str>| {
        let sign = if change.tag() == ChangeTag::Insert { '+' } else { '-' };
        let text: String = change.value().trim_end().chars().take(MOST_WIDTH).collect();
        format!("{sign} {text}")
    };
    changed.take(MOST_LINES).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_hashes_are_masked_and_words_are_not() {
        for (text, expected) in [
            ("median_us 9.812 µs, -0.4%", "median_us # µs, #%"),
            ("1.327x [1.291, 1.350], 1e-3", "#x [#, #], #"),
            ("at 8f3a91c02b and deadbeefcafe", "at # and deadbeefcafe"),
            ("float32 x_2 v1.2.", "float32 x_2 v1.#."),
            ("iter-0007/test.txt", "iter-#/test.txt"),
            ("", ""),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn a_difference_shows_its_first_lines() {
        let text = difference("a\nsame\nb\n", "a\nsame\nc\n");
        assert_eq!(text, "- b\n+ c");
    }

    /// Says the artifact's name, a figure of its own each time, and how many results it was shown; it can be made shorter.
    struct Double {
        word: &'static str,
        figure: f64,
        long: bool,
    }

    impl Context for Double {
        fn request(&mut self, view: &View<'_>) -> Result<Vec<Message>, ModelError> {
            self.figure += 0.1;
            let text = format!("{} {} µs of {}\n{} results", self.word, self.figure, view.kernel, view.results.len());
            let rules = Message::System { text: if self.long { "many rules" } else { "rules" }.to_owned() };
            Ok(vec![rules, Message::User { text }])
        }

        fn answered(&mut self, _turn: &Turn) {}

        fn shrink(&mut self) -> bool {
            std::mem::take(&mut self.long)
        }

        fn renew(&mut self) {
            self.word = "anew";
        }
    }

    fn rehearsal(word: &'static str, long: bool) -> Rehearsal {
        Rehearsal::new(Box::new(move || Box::new(Double { word, figure: 90.0, long })))
    }

    fn check(rehearsal: &mut Rehearsal, number: usize, sent: &Sent) -> Result<Option<Sent>, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = crate::journal::Snapshots::new(folder.path());
        let state = crate::model::replay::tests::state();
        let view =
            View { state: &state, prompt: "", description: None, kernel: "k", results: &[], snapshots: &snapshots };
        rehearsal.check(view, number, sent, &Turn::default())
    }

    fn sent(kept: usize, texts: &[&str]) -> Sent {
        let user = |text: &&str| Message::User { text: (*text).to_owned() };
        let system = (kept == 0).then(|| Message::System { text: "rules".to_owned() });
        Sent { kept, messages: system.into_iter().chain(texts.iter().map(user)).collect(), renewed: false }
    }

    #[test]
    fn a_request_in_the_same_words_passes_whatever_its_figures() {
        let mut rehearsal = rehearsal("took", false);
        let first = check(&mut rehearsal, 0, &sent(0, &["took 12.5 µs of k\n0 results"])).unwrap().unwrap();
        assert_eq!((first.kept, first.messages.len()), (0, 2));
        let second = check(&mut rehearsal, 1, &sent(1, &["took 1e-3 µs of k\n7 results"])).unwrap().unwrap();
        assert_eq!((second.kept, second.messages.len()), (1, 1), "what is sent is the difference again");
    }

    #[test]
    fn other_words_fail_with_the_first_lines_that_differ() {
        let mut rehearsal = rehearsal("takes", false);
        let ModelError::Failed(message) =
            check(&mut rehearsal, 0, &sent(0, &["took 1 µs of k\n0 results"])).unwrap_err()
        else {
            panic!("another error")
        };
        assert!(message.contains("- took # µs of k\n+ takes # µs of k"), "{message}");
    }

    #[test]
    fn a_request_that_was_made_smaller_is_made_smaller_again() {
        let mut rehearsal = rehearsal("took", true);
        assert!(check(&mut rehearsal, 0, &sent(0, &["took 1 µs of k\n0 results"])).unwrap().is_some());
    }

    #[test]
    fn a_process_that_begins_in_the_middle_waits_for_one_that_did() {
        let mut rehearsal = rehearsal("took", false);
        assert_eq!(check(&mut rehearsal, 3, &sent(1, &["anything"])).unwrap(), None);
        assert!(check(&mut rehearsal, 4, &sent(0, &["took 1 µs of k\n0 results"])).unwrap().is_some());
        assert!(check(&mut rehearsal, 5, &sent(1, &["anything"])).is_err());
    }
}
