//! A kernel's text as a point in the space that its tunables span.

use std::ops::Range;

use super::declaration::{Declaration, name_of, number};
use crate::protocol::ContentHash;

/// What may vary in a kernel: the same in every text of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tunable {
    /// For people: what the value is given to, with its line where two have the same name.
    pub(super) name: String,
    /// The allowed values, as declared.
    pub(super) values: Vec<String>,
    /// The place of each value in the order of the numbers they are; absent where one is no number.
    pub(super) ranks: Option<Vec<usize>>,
}

impl Tunable {
    /// Returns the value at `index`.
    pub(super) fn value(&self, index: usize) -> &str {
        self.values.get(index).map_or("", String::as_str)
    }

    /// Returns how many values `to` lies beyond `from`; 1 between values that have no order.
    pub(super) fn steps(&self, from: usize, to: usize) -> usize {
        match self.ranks.as_ref().and_then(|ranks| Some((ranks.get(from)?, ranks.get(to)?))) {
            Some((from, to)) => from.abs_diff(*to),
            None => usize::from(from != to),
        }
    }
}

/// The choice of a value for each tunable, by its place among the values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Point(pub(super) Vec<usize>);

impl Point {
    /// Returns the choice for a tunable.
    pub(super) fn at(&self, tunable: usize) -> usize {
        self.0.get(tunable).copied().unwrap_or_default()
    }

    /// Returns the point after `moves`.
    pub(super) fn after(&self, moves: &[Move]) -> Self {
        let mut point = self.clone();
        for step in moves {
            if let Some(choice) = point.0.get_mut(step.tunable) {
                *choice = step.to;
            }
        }
        point
    }

    /// Returns the moves that lead to `other`.
    pub(super) fn moves_to<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Move> + 'a {
        let pairs = self.0.iter().zip(&other.0).enumerate();
        pairs.filter(|(_, (from, to))| from != to).map(|(tunable, (_, to))| Move { tunable, to: *to })
    }
}

/// One tunable set to another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Move {
    /// Which tunable.
    pub(super) tunable: usize,
    /// The new value's place among its values.
    pub(super) to: usize,
}

/// Where a tunable stands in a text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// The index of its line.
    pub(super) line: usize,
    /// Its value.
    pub(super) hole: Range<usize>,
}

/// A kernel's text with its tunables.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kernel {
    /// The text.
    pub(super) text: String,
    /// Its lines without their endings, in bytes of the text.
    pub(super) lines: Vec<Range<usize>>,
    /// What may vary.
    pub(super) tunables: Vec<Tunable>,
    /// Where each tunable stands.
    pub(super) sites: Vec<Site>,
    /// What each tunable is set to.
    pub(super) point: Point,
    /// Identifies the space: the hash of the text without the values.
    pub(super) skeleton: ContentHash,
}

impl Kernel {
    /// Returns `text` with the tunables that it declares.
    pub(super) fn parse(text: String) -> Self {
        let lines = lines(&text);
        let (mut tunables, mut sites, mut point) = (Vec::new(), Vec::new(), Vec::new());
        for (index, range) in lines.iter().enumerate() {
            let line = text.get(range.clone()).unwrap_or_default();
            let Some(found) = Declaration::parse(line) else { continue };
            let name = line.get(..found.hole.start).and_then(name_of);
            tunables.push(Tunable {
                name: name.map_or_else(|| format!("line {}", index + 1), str::to_owned),
                ranks: ranks(&found.values),
                values: found.values,
            });
            sites.push(Site { line: index, hole: range.start + found.hole.start..range.start + found.hole.end });
            point.push(found.current);
        }
        tell_apart(&mut tunables, &sites);
        let skeleton = ContentHash::of(fill(&text, sites.iter().map(|site| (&site.hole, "\0"))).as_bytes());
        Self { text, lines, tunables, sites, point: Point(point), skeleton }
    }

    /// Returns the text after `moves`.
    pub(super) fn with(&self, moves: &[Move]) -> String {
        let point = self.point.after(moves);
        let values = self.tunables.iter().zip(&point.0).map(|(tunable, choice)| tunable.value(*choice));
        fill(&self.text, self.sites.iter().map(|site| &site.hole).zip(values))
    }

    /// Returns the point of `text`, where it is this kernel's text with other values.
    pub(super) fn locate(&self, text: &str) -> Option<Point> {
        let mut point = Vec::with_capacity(self.sites.len());
        let first = self.sites.first().map_or(self.text.len(), |site| site.hole.start);
        let mut rest = text.strip_prefix(self.text.get(..first)?)?;
        for (index, (tunable, site)) in self.tunables.iter().zip(&self.sites).enumerate() {
            let end = self.sites.get(index + 1).map_or(self.text.len(), |next| next.hole.start);
            let between = self.text.get(site.hole.end..end)?;
            let fits = |value: &String| rest.strip_prefix(value.as_str())?.strip_prefix(between);
            let (choice, after) =
                tunable.values.iter().enumerate().find_map(|(choice, value)| Some((choice, fits(value)?)))?;
            point.push(choice);
            rest = after;
        }
        rest.is_empty().then_some(Point(point))
    }

    /// Returns the number of points, saturating.
    pub(super) fn points(&self) -> u64 {
        self.tunables.iter().fold(1, |product, tunable| product.saturating_mul(tunable.values.len() as u64))
    }

    /// Describes `moves` as one change.
    pub(super) fn describe(&self, moves: &[Move]) -> String {
        let parts: Vec<String> = moves
            .iter()
            .filter_map(|step| {
                let tunable = self.tunables.get(step.tunable)?;
                let from = tunable.value(self.point.at(step.tunable));
                Some(format!("{} from {from} to {}", tunable.name, tunable.value(step.to)))
            })
            .collect();
        format!("set {}", parts.join(", and with it "))
    }
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    text.split('\n')
        .map(|line| {
            let range = start..start + line.strip_suffix('\r').unwrap_or(line).len();
            start += line.len() + 1;
            range
        })
        .collect()
}

/// Returns `text` with each of the holes, given in their order, filled.
fn fill<'a>(text: &str, holes: impl Iterator<Item = (&'a Range<usize>, &'a str)>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut done = 0;
    for (hole, value) in holes {
        filled.push_str(text.get(done..hole.start).unwrap_or_default());
        filled.push_str(value);
        done = hole.end;
    }
    filled.push_str(text.get(done..).unwrap_or_default());
    filled
}

fn ranks(values: &[String]) -> Option<Vec<usize>> {
    let numbers: Vec<f64> = values.iter().map(|value| number(value)).collect::<Option<_>>()?;
    let rank = |value: &f64| numbers.iter().filter(|other| *other < value).count();
    Some(numbers.iter().map(rank).collect())
}

fn tell_apart(tunables: &mut [Tunable], sites: &[Site]) {
    let names: Vec<String> = tunables.iter().map(|tunable| tunable.name.clone()).collect();
    for (tunable, site) in tunables.iter_mut().zip(sites) {
        if names.iter().filter(|name| **name == tunable.name).count() > 1 {
            tunable.name = format!("{} (line {})", tunable.name, site.line + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "#define TILE 8 // tune: 16 8 4\r\nint f();\r\nconst char *MODE = \"a\"; // tune: \"a\" \"bc\"\n";

    #[test]
    fn a_text_is_a_point_and_a_move_changes_its_value_alone() {
        let kernel = Kernel::parse(TEXT.to_owned());
        assert_eq!(kernel.point, Point(vec![1, 0]));
        assert_eq!(kernel.points(), 6);
        assert_eq!(kernel.tunables[0].ranks, Some(vec![2, 1, 0]));
        assert_eq!(kernel.tunables[1].ranks, None);
        assert_eq!(kernel.with(&[]), TEXT);
        let moves = [Move { tunable: 0, to: 0 }, Move { tunable: 1, to: 1 }];
        let moved = Kernel::parse(kernel.with(&moves));
        assert_eq!(moved.text, TEXT.replace("TILE 8 ", "TILE 16 ").replace("= \"a\"", "= \"bc\""));
        assert_eq!(moved.point, kernel.point.after(&moves));
        assert_eq!(moved.skeleton, kernel.skeleton);
        assert_eq!(moved.tunables, kernel.tunables);
        assert_eq!(kernel.locate(&moved.text), Some(moved.point.clone()));
        assert_eq!(kernel.point.moves_to(&moved.point).collect::<Vec<_>>(), moves);
        assert_eq!(kernel.describe(&moves), "set TILE from 8 to 16, and with it MODE from \"a\" to \"bc\"");
    }

    #[test]
    fn another_text_is_another_space() {
        let kernel = Kernel::parse(TEXT.to_owned());
        for other in
            [TEXT.replace("f()", "g()"), TEXT.replace("TILE 8 ", "TILE 9 "), format!("{TEXT}\n"), String::new()]
        {
            assert_eq!(kernel.locate(&other), None, "{other}");
        }
        assert_ne!(Kernel::parse(TEXT.replace("f()", "g()")).skeleton, kernel.skeleton);
    }

    #[test]
    fn equal_names_are_told_apart_by_their_lines() {
        let kernel = Kernel::parse("T = 1 # tune: 1 2\nT = 1 # tune: 1 2\n= 1 # tune: 1 2\n".to_owned());
        let names: Vec<_> = kernel.tunables.iter().map(|tunable| tunable.name.as_str()).collect();
        assert_eq!(names, ["T (line 1)", "T (line 2)", "line 3"]);
    }
}
