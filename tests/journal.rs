//! The journal as a run lives through it: crashes, full disks, damaged files, other programs.

#![expect(clippy::unwrap_used, reason = "the helpers of tests")]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use afterhours::journal::{FileError, Journal, JournalError, LineFault, Opened, Record, holder, read};
use jiff::Timestamp;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "fields", rename_all = "snake_case")]
enum Event {
    Started,
    Said {
        text: String,
        #[serde(default)]
        tokens: u64,
    },
    Timed {
        us: f64,
        blocks: Vec<f64>,
    },
}

fn said(text: &str) -> Event {
    Event::Said { text: text.to_owned(), tokens: 7 }
}

fn time() -> Timestamp {
    "2026-11-24T12:40:00.123Z".parse().unwrap()
}

fn file(run: &Path) -> PathBuf {
    run.join("journal.jsonl")
}

/// Creates a run with these events and returns its folder and the text of its journal.
fn run_with(events: &[Event]) -> (tempfile::TempDir, Vec<u8>) {
    let run = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(run.path()).unwrap();
    for event in events {
        journal.append(time(), event).unwrap();
    }
    let text = fs::read(file(run.path())).unwrap();
    (run, text)
}

type Reopened = (Journal<Event>, Vec<Record<Event>>, Opened);

fn opened(run: &Path) -> Result<Reopened, JournalError> {
    let mut records = Vec::new();
    let (journal, opened) = Journal::open(run, |record| {
        records.push(record);
        Ok::<(), JournalError>(())
    })?;
    Ok((journal, records, opened))
}

fn open_error(run: &Path) -> JournalError {
    let before = fs::read(file(run)).unwrap();
    let error = opened(run).map(|(_, records, opened)| (records, opened)).unwrap_err();
    assert_eq!(fs::read(file(run)).unwrap(), before, "an error changes nothing");
    error
}

fn events(records: Vec<Record<Event>>) -> Vec<Event> {
    records.into_iter().map(|record| record.event).collect()
}

#[test]
fn a_line_has_the_documented_form() {
    let run = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(run.path()).unwrap();
    let first = journal.append(time(), &Event::Started).unwrap();
    let second = journal.append(time(), &said("a \"b\"\n")).unwrap();
    let sum =
        |previous: &str, text: &str| blake3::hash(format!("{previous}{text}").as_bytes()).to_hex()[..16].to_owned();
    let head = r#"{"v":1,"seq":1,"t":"2026-11-24T12:40:00.123Z","type":"started""#;
    let one = sum("0000000000000000", &format!("{head}}}"));
    assert_eq!(first.line, format!("{head},\"sum\":\"{one}\"}}\n"));
    let head =
        r#"{"v":1,"seq":2,"t":"2026-11-24T12:40:00.123Z","type":"said","fields":{"text":"a \"b\"\n","tokens":7}"#;
    let two = sum(&one, &format!("{head}}}"));
    assert_eq!(second.line, format!("{head},\"sum\":\"{two}\"}}\n"));
    assert_eq!(fs::read_to_string(file(run.path())).unwrap(), first.line + &second.line);
}

#[test]
fn the_writer_gets_the_record_that_every_later_reader_gets() {
    let run = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(run.path()).unwrap();
    let fine: Timestamp = "2026-11-24T12:40:00.1237Z".parse().unwrap();
    let appended = journal.append(fine, &Event::Timed { us: 0.1 + 0.2, blocks: vec![1e-300, 9.812] }).unwrap();
    drop(journal);
    assert_eq!(appended.record.time.to_string(), "2026-11-24T12:40:00.124Z");
    assert_eq!(opened(run.path()).unwrap().1, [appended.record]);
}

#[test]
fn a_run_goes_on_after_each_reopening() {
    let (run, _) = run_with(&[Event::Started]);
    for number in 2..5 {
        let (mut journal, records, opened) = opened(run.path()).unwrap();
        assert_eq!((records.len() as u64, opened), (number - 1, Opened { records: number - 1, torn_bytes: 0 }));
        assert_eq!(journal.append(time(), &said("more")).unwrap().record.seq, number);
        assert_eq!(journal.records(), number);
    }
}

#[test]
fn a_run_that_died_before_its_first_event_opens_empty() {
    let (run, _) = run_with(&[]);
    let (mut journal, records, _) = opened(run.path()).unwrap();
    assert!(records.is_empty());
    assert_eq!(journal.append(time(), &Event::Started).unwrap().record.seq, 1);
}

#[test]
fn a_run_is_created_once() {
    let (run, _) = run_with(&[Event::Started]);
    let error = Journal::<Event>::create(run.path()).unwrap_err();
    assert!(matches!(error, JournalError::Exists { .. }), "{error}");
    assert_eq!(opened(run.path()).unwrap().1.len(), 1);
}

#[test]
fn a_folder_without_a_run_gains_no_files_by_being_opened() {
    let folder = tempfile::tempdir().unwrap();
    let error = opened(folder.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, JournalError::File(FileError { .. })), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_live_run_is_read_beside_its_writer_but_not_opened() {
    let run = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(run.path()).unwrap();
    journal.append(time(), &Event::Started).unwrap();
    assert!(matches!(opened(run.path()), Err(JournalError::Held { .. })));
    assert_eq!(holder(run.path()).unwrap().unwrap().pid, Some(std::process::id()));
    // The writer is in the middle of a line.
    let mut file = OpenOptions::new().append(true).open(file(run.path())).unwrap();
    file.write_all(b"{\"v\":1,\"seq\":2,").unwrap();
    let mut seen = Vec::new();
    let found = read(run.path(), |record: Record<Event>| {
        seen.push(record.event);
        Ok::<(), JournalError>(())
    });
    assert_eq!((found.unwrap(), seen), (Opened { records: 1, torn_bytes: 15 }, vec![Event::Started]));
    assert_eq!(file.metadata().unwrap().len(), journal_length(&[Event::Started]) + 15, "reading changes nothing");
}

fn journal_length(events: &[Event]) -> u64 {
    run_with(events).1.len() as u64
}

#[test]
fn the_callers_error_ends_the_reading_and_comes_back_as_it_was() {
    #[derive(Debug)]
    enum Mine {
        Journal(#[expect(dead_code, reason = "for a failing test's message")] JournalError),
        Enough(u64),
    }
    impl From<JournalError> for Mine {
        fn from(error: JournalError) -> Self {
            Self::Journal(error)
        }
    }
    let (run, _) = run_with(&[Event::Started, said("one"), said("two")]);
    let stop = |record: Record<Event>| if record.seq == 2 { Err(Mine::Enough(record.seq)) } else { Ok(()) };
    assert!(matches!(read(run.path(), stop), Err(Mine::Enough(2))));
    assert!(matches!(Journal::open(run.path(), stop), Err(Mine::Enough(2))));
    assert!(opened(run.path()).is_ok(), "the lock is free again");
}

#[test]
fn a_newer_journal_asks_for_a_newer_program_even_where_its_end_looks_torn() {
    let (run, _) = run_with(&[]);
    fs::write(file(run.path()), "{\"v\":2,\"another\":\"form\"}\n{\"v\":2,").unwrap();
    let error = open_error(run.path());
    assert!(matches!(error, JournalError::Newer { found: 2, newest: 1, .. }), "{error}");
    assert!(error.to_string().contains("use a newer program"), "{error}");
}

#[test]
fn an_intact_event_of_an_unknown_type_is_an_error_even_in_the_last_line() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", content = "fields", rename_all = "snake_case")]
    enum Newer {
        Invented { much: u32 },
    }
    let run = tempfile::tempdir().unwrap();
    Journal::create(run.path()).unwrap().append(time(), &Newer::Invented { much: 1 }).unwrap();
    let error = open_error(run.path());
    assert!(
        matches!(&error, JournalError::Foreign { line: 1, message, .. } if message.contains("invented")),
        "{error}"
    );
}

#[test]
fn a_field_that_an_older_program_did_not_write_takes_its_default() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", content = "fields", rename_all = "snake_case")]
    enum Older {
        Said { text: String },
    }
    let run = tempfile::tempdir().unwrap();
    Journal::create(run.path()).unwrap().append(time(), &Older::Said { text: "hello".to_owned() }).unwrap();
    let (_, records, _) = opened(run.path()).unwrap();
    assert_eq!(events(records), [Event::Said { text: "hello".to_owned(), tokens: 0 }]);
}

#[test]
fn an_event_that_would_not_read_back_is_refused_and_the_journal_stays_usable() {
    let run = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(run.path()).unwrap();
    let error = journal.append(time(), &Event::Timed { us: f64::NAN, blocks: vec![] }).unwrap_err();
    assert!(matches!(error, JournalError::Unwritable { .. }), "{error}");
    let error = journal.append(time(), &said(&"x".repeat(17 << 20))).unwrap_err();
    assert!(matches!(error, JournalError::Unwritable { .. }), "{error}");
    assert_eq!(journal.append(time(), &Event::Started).unwrap().record.seq, 1);
}

#[test]
fn damage_in_the_middle_is_an_error_that_names_the_line_and_cuts_nothing() {
    let (run, text) = run_with(&[Event::Started, said("one"), said("two")]);
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let altered = String::from_utf8(lines[1].to_vec()).unwrap().replace("one", "ten").into_bytes();
    let cases: [(&str, Vec<&[u8]>, u64); 5] = [
        ("an altered line", vec![lines[0], &altered, lines[2]], 2),
        ("a dropped line", vec![lines[0], lines[2], lines[2]], 2),
        ("two lines exchanged", vec![lines[1], lines[0], lines[2]], 1),
        ("a line of garbage", vec![lines[0], b"\0\0\0\n", lines[1]], 2),
        ("a line twice", vec![lines[0], lines[0], lines[1]], 2),
    ];
    for (what, parts, number) in cases {
        fs::write(file(run.path()), parts.concat()).unwrap();
        let error = open_error(run.path());
        assert!(matches!(error, JournalError::Damaged { line, .. } if line == number), "{what}: {error}");
        assert!(error.to_string().contains(&format!("line {number} is damaged")), "{what}: {error}");
    }
}

#[test]
fn a_lost_line_feed_before_the_last_line_is_damage_and_not_an_unfinished_write() {
    let (run, mut text) = run_with(&[Event::Started, said("one"), said("two")]);
    let feed = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0;
    text.remove(feed);
    fs::write(file(run.path()), &text).unwrap();
    let error = open_error(run.path());
    assert!(matches!(error, JournalError::Damaged { line: 2, fault: LineFault::Sum, .. }), "{error}");
}

#[test]
fn a_last_line_of_which_a_power_cut_left_only_some_pages_is_cut_off() {
    let (run, text) = run_with(&[Event::Started, said(&"x".repeat(9000))]);
    let mut torn = text.clone();
    torn[1000..5096].fill(0);
    fs::write(file(run.path()), &torn).unwrap();
    let (_, records, opened) = opened(run.path()).unwrap();
    assert_eq!(events(records), [Event::Started]);
    assert_eq!(opened.torn_bytes, text.len() as u64 - journal_length(&[Event::Started]));
    assert_eq!(fs::metadata(file(run.path())).unwrap().len(), journal_length(&[Event::Started]));
}

/// Run by the next test in a process of its own, whose files may have 4 KiB and no more; by itself it has nothing to do.
#[test]
fn child_under_a_file_size_limit() {
    let Some(run) = std::env::var_os("RUN_FOLDER").map(PathBuf::from) else { return };
    let mut journal = Journal::create(&run).unwrap();
    let mut written = 0;
    let error = loop {
        match journal.append(time(), &said(&"x".repeat(300))) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("journal.jsonl: File too large"), "{error}");
    assert!(error.to_string().contains("ulimit -f"), "{error}");
    let whole = fs::read(file(&run)).unwrap();
    assert!(whole.ends_with(b"\n"), "what was written of the failing line is taken back");
    // A shorter one fits, and the chain goes on.
    assert_eq!(journal.append(time(), &Event::Started).unwrap().record.seq, written + 1);
}

#[test]
fn a_full_disk_is_reported_with_its_remedy_and_leaves_the_journal_whole_and_usable() {
    let run = tempfile::tempdir().unwrap();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact child_under_a_file_size_limit";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("RUN_FOLDER", run.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(opened(run.path()).unwrap().1.len() > 2);
}

fn any_event() -> impl Strategy<Value = Event> {
    let float = prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL;
    prop_oneof![
        Just(Event::Started),
        (prop::collection::vec(any::<char>(), 0..20), any::<u64>())
            .prop_map(|(text, tokens)| Event::Said { text: text.into_iter().collect(), tokens }),
        (float, prop::collection::vec(float, 0..4)).prop_map(|(us, blocks)| Event::Timed { us, blocks }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_appended_reads_back(given in prop::collection::vec(any_event(), 0..12)) {
        let (run, _) = run_with(&given);
        let (_, records, found) = opened(run.path()).unwrap();
        prop_assert!(records.iter().zip(1..).all(|(record, seq)| record.seq == seq && record.time == time()));
        prop_assert_eq!(found, Opened { records: given.len() as u64, torn_bytes: 0 });
        prop_assert_eq!(events(records), given);
    }

    #[test]
    fn a_file_cut_anywhere_opens_to_the_events_before_the_cut_and_goes_on(
        given in prop::collection::vec(any_event(), 1..4),
    ) {
        let (run, text) = run_with(&given);
        let onward = tempfile::tempdir().unwrap();
        for cut in (0..=text.len()).rev() {
            OpenOptions::new().write(true).open(file(run.path())).unwrap().set_len(cut as u64).unwrap();
            let whole = text[..cut].iter().filter(|byte| **byte == b'\n').count();
            let mut records = Vec::new();
            let keep = |record: Record<Event>| { records.push(record.event); Ok::<(), JournalError>(()) };
            let found = read(run.path(), keep).unwrap();
            prop_assert_eq!((records.len(), found.records as usize), (whole, whole));
            prop_assert!(given.starts_with(&records));
            // Syncing takes the time: the file goes on from some of the cuts only.
            if cut % (1 + text.len() / 8) != 0 {
                continue;
            }
            fs::copy(file(run.path()), file(onward.path())).unwrap();
            let (mut journal, records, _) = opened(onward.path()).unwrap();
            prop_assert_eq!(events(records), &given[..whole]);
            journal.append(time(), &said("on")).unwrap();
            drop(journal);
            let (_, records, found) = opened(onward.path()).unwrap();
            prop_assert_eq!(found, Opened { records: whole as u64 + 1, torn_bytes: 0 });
            prop_assert_eq!(records.last().map(|record| &record.event), Some(&said("on")));
        }
    }

    #[test]
    fn a_flipped_byte_never_gives_a_wrong_record(
        given in prop::collection::vec(any_event(), 1..4),
        mask in 1..=255_u8,
    ) {
        let (run, text) = run_with(&given);
        let last = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |feed| feed + 1);
        let bytes = OpenOptions::new().write(true).open(file(run.path())).unwrap();
        for (place, byte) in text.iter().enumerate() {
            bytes.write_all_at(&[byte ^ mask], place as u64).unwrap();
            let mut records = Vec::new();
            let found = read(run.path(), |record: Record<Event>| {
                records.push(record.event);
                Ok::<(), JournalError>(())
            });
            bytes.write_all_at(&[*byte], place as u64).unwrap();
            prop_assert!(given.starts_with(&records));
            match found {
                Ok(found) => {
                    prop_assert!(place >= last, "damage at {} of {} passed for an unfinished write", place, text.len());
                    prop_assert_eq!(found.torn_bytes, (text.len() - last) as u64);
                    prop_assert_eq!(records.len(), given.len() - 1);
                }
                Err(error) => prop_assert!(
                    matches!(error, JournalError::Damaged { .. } | JournalError::Newer { .. }), "{}", error
                ),
            }
        }
    }
}
