//! The report as one page that stands for itself: its style and its drawing are inside, no script, nothing fetched.

use std::fmt::Write as _;

use crate::protocol::Decision;

use super::curve::Curve;
use super::rows;
use super::run::{RATIO_NOTE, Report};
use super::style::Tone;
use super::svg;
use super::text::{escape, one_line, short_sha};
use super::words;

const STYLE: &str = include_str!("report.css");

/// Characters of a foreign text in a cell.
const CELL: usize = 400;

impl Report<'_> {
    /// Returns the report as a page, `report.html`.
    pub fn html(&self) -> String {
        let mut page = String::new();
        let id = escape(&self.status.run_id);
        write!(
            page,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>Afterhours: {id}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        )
        .ok();
        self.head(&mut page);
        self.curve(&mut page);
        self.iterations(&mut page);
        self.commits_list(&mut page);
        self.spending(&mut page);
        self.what_next(&mut page);
        page.push_str("</main>\n</body>\n</html>\n");
        page
    }

    fn head(&self, page: &mut String) {
        let lead = words::lead(self.state);
        let class = if lead.tone == Tone::Good { "good" } else { "warn" };
        write!(
            page,
            "<header>\n<p class=\"run\">Afterhours run {}</p>\n<h1 class=\"{class}\">{}</h1>\n<p class=\"lead\">{}</p>\n",
            escape(&self.status.run_id),
            escape(&lead.short),
            escape(&lead.long)
        )
        .ok();
        page.push_str("<dl>\n");
        for (label, value) in self.facts() {
            writeln!(page, "<div><dt>{label}</dt><dd>{}</dd></div>", escape(&value)).ok();
        }
        page.push_str("</dl>\n</header>\n");
    }

    fn curve(&self, page: &mut String) {
        let Some(curve) = Curve::of(self.state) else { return };
        let metric = self.status.metric_name;
        write!(
            page,
            "<section>\n<h2>Best {metric} by iteration</h2>\n<div class=\"wide\">\n{}</div>\n<p class=\"note\">The line is \
             the best kernel so far; filled dots are kept changes, small ones other candidates. Each figure is that of its \
             own duel. Logarithmic scale; what is far slower than the baseline lies at the upper edge.</p>\n</section>\n",
            svg::svg(&curve, metric.as_str())
        )
        .ok();
    }

    fn iterations(&self, page: &mut String) {
        if self.state.ledger.is_empty() {
            return;
        }
        page.push_str("<section>\n<h2>Iterations</h2>\n<div class=\"wide\">\n<table>\n<thead><tr>");
        rows::HEADS.iter().for_each(|head| page.push_str(&format!("<th>{head}</th>")));
        page.push_str("</tr></thead>\n<tbody>\n");
        for record in &self.state.ledger {
            let class = if record.decision == Decision::Keep { "keep" } else { "revert" };
            write!(page, "<tr class=\"{class}\">").ok();
            for cell in rows::cells(record, CELL) {
                write!(page, "<td>{}</td>", escape(&cell)).ok();
            }
            page.push_str("</tr>\n");
        }
        write!(
            page,
            "</tbody>\n</table>\n</div>\n<p class=\"note\">{}</p>\n</section>\n",
            escape(&RATIO_NOTE.join(" "))
        )
        .ok();
    }

    fn commits_list(&self, page: &mut String) {
        let branch = escape(&one_line(&self.status.branch, CELL));
        write!(page, "<section>\n<h2>Commits on <code>{branch}</code></h2>\n").ok();
        if self.status.commits.is_empty() {
            page.push_str("<p>None.</p>\n");
        }
        page.push_str("<ul>\n");
        for commit in &self.status.commits {
            let us = commit.metric_us.map(|us| us.to_string()).unwrap_or_default();
            write!(page, "<li><code>{}</code> iteration {}, {us}", escape(&short_sha(&commit.sha)), commit.iteration)
                .ok();
            for artifact in &commit.artifacts {
                let path = escape(&one_line(&artifact.path, CELL));
                write!(page, " <span class=\"artifact\">{path} <small>{}</small></span>", artifact.hash.short()).ok();
            }
            page.push_str("</li>\n");
        }
        page.push_str("</ul>\n</section>\n");
    }

    fn spending(&self, page: &mut String) {
        page.push_str("<section>\n<h2>Budget</h2>\n<div class=\"wide\">\n<table>\n");
        page.push_str("<thead><tr><th>budget</th><th>spent</th><th>allowed</th></tr></thead>\n<tbody>\n");
        for (name, spent, limit) in self.budget_rows() {
            writeln!(page, "<tr><td>{name}</td><td>{spent}</td><td>{limit}</td></tr>").ok();
        }
        page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
    }

    fn what_next(&self, page: &mut String) {
        page.push_str("<section>\n<h2>What next</h2>\n<ul>\n");
        for row in self.next_rows() {
            writeln!(page, "<li>{}</li>", escape(&row)).ok();
        }
        page.push_str("</ul>\n</section>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{KernelFailure, Purpose, RevertCause};
    use crate::report::Liveness;
    use crate::report::night::{Night, started};
    use std::path::Path;

    fn page(night: &Night) -> String {
        Report::new(&night.state, night.now(), Liveness::Gone, Path::new("/runs/<night> & 1")).html()
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        for page in [page(&Night::success()), page(&Night::begin())] {
            for reference in
                ["<script", "src=", "href=", "url(", "@import", "<link", "<img", "<iframe", "http:", "https:"]
            {
                assert!(!page.contains(reference), "{reference}: {page}");
            }
            assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
            assert!(page.contains("prefers-color-scheme: dark"));
        }
    }

    #[test]
    fn the_page_shows_the_ratio_the_curve_and_every_iteration() {
        let page = page(&Night::success());
        assert!(page.contains("<h1 class=\"good\">2.030x</h1>"), "{page}");
        assert_eq!(page.matches("<circle class=\"kept\"").count(), 2);
        assert_eq!(page.matches("<circle class=\"tried\"").count(), 1, "a smoke test is no score");
        assert_eq!(page.matches("<tr class=\"").count(), 4);
        assert_eq!(page.matches("class=\"artifact\"").count(), 8);
    }

    #[test]
    fn no_word_of_a_model_becomes_markup() {
        let hostile = "</title><script>alert('1')</script><b onload=\"x\"> & \u{202e}\u{1b}[31m";
        let mut run = started("B200");
        run.mission = hostile.to_owned();
        run.kernel = hostile.to_owned();
        run.model = hostile.to_owned();
        run.branch = hostile.to_owned();
        let mut night = Night::with(run);
        night.baseline(812.0).slower(hostile, 812.0, 820.0, hostile).edit(hostile);
        night.fail(Purpose::Test, KernelFailure::Crash, hostile);
        night.analyse(Decision::Revert, hostile).revert(RevertCause::TestFailed);
        let page = page(&night);
        for raw in ["<script", "<b onload", "alert('", "\u{202e}", "\u{1b}", "<night>"] {
            assert!(!page.contains(raw), "{raw}: {page}");
        }
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&lt;b onload=&quot;x&quot;&gt; &amp;"));
    }

    #[test]
    fn a_run_without_an_iteration_is_a_page_without_a_curve() {
        let page = page(&Night::begin());
        assert!(!page.contains("<svg") && page.contains("no measured speed-up"), "{page}");
    }
}
