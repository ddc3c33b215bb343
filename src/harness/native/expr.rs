//! Integer expressions over a case's sizes: `m*k`, `(n+7)/8`.

use std::collections::BTreeMap;

use thiserror::Error;

/// The named sizes of a case.
pub(super) type Sizes = BTreeMap<String, i64>;

/// Bounds the recursion of the parser as well as the text.
const MAX_LENGTH: usize = 200;

/// Why an expression has no value.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ExprError {
    #[error("no size is called {0:?}; the case has {1}")]
    UnknownName(String, String),
    #[error("the value does not fit into 64 bits")]
    Overflow,
    #[error("division by zero")]
    DivisionByZero,
    #[error("expected {expected} at {found:?}")]
    Unexpected { expected: &'static str, found: String },
    #[error("ceil_div divides what is not below zero by what is above it")]
    CeilDiv,
    #[error("longer than {MAX_LENGTH} characters")]
    TooLong,
}

/// Returns the value of `text`: integers, names of `sizes`, `+ - * /` (rounding towards zero), parentheses, and the functions
/// `ceil_div`, `min` and `max` of two values.
pub(super) fn eval(text: &str, sizes: &Sizes) -> Result<i64, ExprError> {
    if text.len() > MAX_LENGTH {
        return Err(ExprError::TooLong);
    }
    let mut parser = Parser { rest: text, sizes };
    let value = parser.sum()?;
    parser.skip_spaces();
    if parser.rest.is_empty() { Ok(value) } else { Err(parser.unexpected("an operator or the end")) }
}

type Function = fn(i64, i64) -> Result<i64, ExprError>;

/// Returns the function of a name.
fn function(name: &str) -> Option<Function> {
    match name {
        "ceil_div" => Some(ceil_div),
        "min" => Some(|a, b| Ok(a.min(b))),
        "max" => Some(|a, b| Ok(a.max(b))),
        _ => None,
    }
}

fn ceil_div(value: i64, divisor: i64) -> Result<i64, ExprError> {
    let (value, divisor) = u64::try_from(value).ok().zip(u64::try_from(divisor).ok()).ok_or(ExprError::CeilDiv)?;
    let quotient = if divisor == 0 { None } else { Some(value.div_ceil(divisor)) };
    i64::try_from(quotient.ok_or(ExprError::CeilDiv)?).map_err(|_| ExprError::Overflow)
}

struct Parser<'a> {
    rest: &'a str,
    sizes: &'a Sizes,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Result<i64, ExprError> {
        let mut value = self.product()?;
        loop {
            value = if self.take('+') {
                value.checked_add(self.product()?)
            } else if self.take('-') {
                value.checked_sub(self.product()?)
            } else {
                return Ok(value);
            }
            .ok_or(ExprError::Overflow)?;
        }
    }

    fn product(&mut self) -> Result<i64, ExprError> {
        let mut value = self.atom()?;
        loop {
            value = if self.take('*') {
                value.checked_mul(self.atom()?)
            } else if self.take('/') {
                match self.atom()? {
                    0 => return Err(ExprError::DivisionByZero),
                    divisor => value.checked_div(divisor),
                }
            } else {
                return Ok(value);
            }
            .ok_or(ExprError::Overflow)?;
        }
    }

    fn atom(&mut self) -> Result<i64, ExprError> {
        if self.take('(') {
            let value = self.sum()?;
            return if self.take(')') { Ok(value) } else { Err(self.unexpected("')'")) };
        }
        let word = self.word();
        if let Some(function) = function(word)
            && self.take('(')
        {
            return self.call(function);
        }
        if word.is_empty() {
            Err(self.unexpected("a number, a size or '('"))
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            word.parse().map_err(|_| {
                let digits = word.chars().all(|c| c.is_ascii_digit());
                if digits { ExprError::Overflow } else { ExprError::UnknownName(word.to_owned(), self.known()) }
            })
        } else {
            self.sizes.get(word).copied().ok_or_else(|| ExprError::UnknownName(word.to_owned(), self.known()))
        }
    }

    /// Reads the two values of a function, whose opening parenthesis is behind.
    fn call(&mut self, function: Function) -> Result<i64, ExprError> {
        let first = self.sum()?;
        if !self.take(',') {
            return Err(self.unexpected("','"));
        }
        let second = self.sum()?;
        if self.take(')') { function(first, second) } else { Err(self.unexpected("')'")) }
    }

    fn word(&mut self) -> &'a str {
        self.skip_spaces();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, symbol: char) -> bool {
        self.skip_spaces();
        let rest = self.rest.strip_prefix(symbol);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn known(&self) -> String {
        let names: Vec<&str> = self.sizes.keys().map(String::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    fn unexpected(&self, expected: &'static str) -> ExprError {
        ExprError::Unexpected { expected, found: self.rest.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<i64, ExprError> {
        eval(text, &Sizes::from([("m".to_owned(), 6), ("k_2".to_owned(), 4)]))
    }

    #[test]
    fn the_usual_precedence_holds() {
        assert_eq!(value("1 + m*k_2 - 2"), Ok(23));
        assert_eq!(value("(m+1)/2*2"), Ok(6));
        assert_eq!(value("10-2-3"), Ok(5));
        assert_eq!(value(" ( ( m ) ) "), Ok(6));
    }

    #[test]
    fn functions_take_two_values_and_their_names_are_free_for_sizes() {
        assert_eq!(value("ceil_div(m, k_2)"), Ok(2));
        assert_eq!(value("ceil_div(m*2, k_2) + min(m, 3) * max (1, 2)"), Ok(9));
        assert_eq!(eval("max+1", &Sizes::from([("max".to_owned(), 6)])), Ok(7));
        for text in ["ceil_div(1, 0)", "ceil_div(0-1, 2)", "ceil_div(1, 0-2)"] {
            assert_eq!(value(text), Err(ExprError::CeilDiv), "{text}");
        }
        assert!(matches!(value("min(1)"), Err(ExprError::Unexpected { expected: "','", .. })));
        assert!(matches!(value("min(1, 2, 3)"), Err(ExprError::Unexpected { expected: "')'", .. })));
        assert_eq!(value("sqrt(m)"), Err(ExprError::UnknownName("sqrt".into(), "k_2, m".into())));
    }

    #[test]
    fn texts_without_a_value_say_why() {
        assert_eq!(value("n*2"), Err(ExprError::UnknownName("n".into(), "k_2, m".into())));
        assert_eq!(value("2m"), Err(ExprError::UnknownName("2m".into(), "k_2, m".into())));
        assert_eq!(value("m/(m-6)"), Err(ExprError::DivisionByZero));
        assert_eq!(value("9223372036854775807+1"), Err(ExprError::Overflow));
        assert_eq!(value("9223372036854775808"), Err(ExprError::Overflow));
        assert_eq!(value("3000000000*3000000000*3"), Err(ExprError::Overflow));
        assert!(matches!(value("(m"), Err(ExprError::Unexpected { expected: "')'", .. })));
        for text in ["", "m m", "m+", "*m", "m;", "()", "m²", "-1"] {
            assert!(matches!(value(text), Err(ExprError::Unexpected { .. })), "{text}");
        }
    }

    #[test]
    fn a_hostile_depth_is_refused_before_it_is_parsed() {
        assert_eq!(value(&"(".repeat(100_000)), Err(ExprError::TooLong));
    }
}
