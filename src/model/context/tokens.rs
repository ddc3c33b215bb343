//! Tokens by estimate: for bounds, and where an endpoint gives no usage.
//!
//! Every model family splits text in its own way, and exact tables weigh tens of megabytes. The estimate walks over the text
//! as byte-pair splitters do (a word with the space before it, up to three digits, a run of signs, a run of white space) and
//! charges each piece by its length. Against the table `o200k` it is within a quarter on code, prose, JSON and figures; see
//! the tests of `tests/context.rs`, which hold it to that.

/// What a piece of a text is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Digit,
    Space,
    Sign,
    /// Letters of other scripts: shorter pieces than ASCII words.
    Letter,
    /// Ideographs, pictures, and whatever else costs about a token a character.
    Other,
}

/// Returns about how many tokens `text` is.
pub fn count(text: &str) -> u64 {
    let mut total = 0;
    let mut run = (Class::Space, 0);
    for c in text.chars() {
        let class = class_of(c);
        if class == run.0 {
            run.1 += 1;
        } else {
            total += cost(run.0, run.1);
            run = (class, 1);
        }
    }
    total + cost(run.0, run.1)
}

fn class_of(c: char) -> Class {
    match c {
        'a'..='z' | 'A'..='Z' => Class::Word,
        '0'..='9' => Class::Digit,
        c if c.is_whitespace() => Class::Space,
        c if c.is_ascii() => Class::Sign,
        '\u{80}'..='\u{2fff}' if c.is_alphabetic() => Class::Letter,
        _ => Class::Other,
    }
}

fn cost(class: Class, length: u64) -> u64 {
    match class {
        // Most words are one piece; long names are split.
        Class::Word => length.div_ceil(9),
        Class::Digit => length.div_ceil(3),
        // A single space belongs to the word behind it; indentation is one piece up to a point.
        Class::Space => u64::from(length > 1) * length.div_ceil(40),
        Class::Sign => length.div_ceil(3),
        Class::Letter => length.div_ceil(3),
        Class::Other => length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_costs_nothing_and_more_never_costs_less() {
        assert_eq!(count(""), 0);
        let text = "for (int i = 0; i < 4096; ++i) sum += x[i]; // Summe über alles, 合計\n\t\t";
        let ends: Vec<_> = text.char_indices().map(|(end, _)| end).collect();
        assert!(ends.windows(2).all(|pair| count(&text[..pair[0]]) <= count(&text[..pair[1]]) + 1));
    }

    #[test]
    fn a_text_made_to_mislead_is_counted_in_time() {
        for text in ["a".repeat(1 << 20), " ".repeat(1 << 20), "\u{1f600}".repeat(1 << 18)] {
            assert!(count(&text) > 10_000);
        }
    }
}
