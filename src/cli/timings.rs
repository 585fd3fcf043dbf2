//! `--timings`: a page that shows what each thread did when.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use mkimage::layer::{Activity, Watch};

/// Writes down what threads do.
#[derive(Debug)]
pub(super) struct Recorder {
    began: Instant,
    spans: Mutex<Spans>,
}

#[derive(Debug, Default)]
struct Spans {
    /// In the order in which they were first seen.
    threads: Vec<ThreadId>,
    work: Vec<(usize, Activity, Duration, Duration)>,
    /// Image, stage, thread, and when each began; the next one of the same image ends it.
    stages: Vec<(String, String, usize, Duration)>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { began: Instant::now(), spans: Mutex::default() }
    }
}

impl Watch for Recorder {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn did(&self, what: Activity, from: Duration, to: Duration) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = spans.thread();
        spans.work.push((thread, what, from, to));
    }
}

impl Spans {
    fn thread(&mut self) -> usize {
        let own = std::thread::current().id();
        self.threads.iter().position(|thread| *thread == own).unwrap_or_else(|| {
            self.threads.push(own);
            self.threads.len() - 1
        })
    }
}

/// The name, the colour in light and in dark, of each kind of work.
const KINDS: [(Activity, &str, &str, &str); 5] = [
    (Activity::Read, "read", "#2a78b8", "#5fa8e0"),
    (Activity::Hash, "hash", "#8a5bb5", "#b48be0"),
    (Activity::Tar, "tar", "#3d8f5a", "#6cc48c"),
    (Activity::Compress, "compress", "#c9782a", "#eba05a"),
    (Activity::Write, "write", "#b8433f", "#e57a76"),
];

/// How wide the drawing is, in its own units.
const WIDTH: f64 = 1000.0;
const ROW: usize = 18;

impl Recorder {
    /// A stage of an image begins on this thread.
    pub(super) fn stage(&self, image: &str, stage: &str) {
        let now = self.now();
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = spans.thread();
        spans.stages.push((image.to_owned(), stage.to_owned(), thread, now));
    }

    /// The page: one file, that loads nothing else.
    pub(super) fn page(&self) -> String {
        let end = self.now();
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::from(HEAD);
        let (mut light, mut dark) = (String::new(), String::new());
        for (_, name, for_light, for_dark) in KINDS {
            let _ = write!(light, "--{name}:{for_light};");
            let _ = write!(dark, "--{name}:{for_dark};");
        }
        let _ = writeln!(page, "<style>:root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>");
        let _ = writeln!(page, "<h1>{} in all</h1>\n{}", shown(end), drawing(&spans, end));
        let _ = writeln!(page, "<h2>By kind of work</h2>\n{}", totals(&spans, end));
        let _ = writeln!(page, "<h2>By stage</h2>\n{}", stages(&spans, end));
        page.push_str("</html>\n");
        page
    }
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>mkimage --timings</title>\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n<style>\n\
    :root{color-scheme:light dark;--ink:#1c1c1a;--paper:#fcfcfa;--line:#d8d8d2;--stage:#e9e9e2}\n\
    @media(prefers-color-scheme:dark){:root{--ink:#e8e8e2;--paper:#191918;--line:#3c3c38;--stage:#2b2b28}}\n\
    body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:72rem;padding:0 1rem}\n\
    h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}svg{width:100%;height:auto}text{font-size:11px;fill:var(--ink)}\n\
    table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left;border-bottom:1px solid var(--line)}\n\
    td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}i{display:inline-block;width:.8em;height:.8em;margin-right:.5em}\n\
    </style>\n";

/// A row for each thread: its stages behind, its work before them.
fn drawing(spans: &Spans, end: Duration) -> String {
    let rows = spans.threads.len().max(1);
    let height = rows * (ROW + 6) + 24;
    let scale = (WIDTH - 80.0) / end.as_secs_f64().max(1e-9);
    let at = |time: Duration| 80.0 + time.as_secs_f64() * scale;
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"what each thread did when\">\n");
    for thread in 0..rows {
        let _ = writeln!(svg, "<text x=\"0\" y=\"{}\">thread {}</text>", thread * (ROW + 6) + 13, thread + 1);
    }
    for (image, stage, thread, from, to) in ended(spans, end) {
        let title = format!("{}: {}, {}", escaped(image), escaped(stage), shown(to.saturating_sub(from)));
        rectangle(&mut svg, (at(from), at(to)), thread, "stage", &title);
    }
    for (thread, what, from, to) in &spans.work {
        let name = KINDS.iter().find(|kind| kind.0 == *what).map_or("read", |kind| kind.1);
        rectangle(
            &mut svg,
            (at(*from), at(*to)),
            *thread,
            name,
            &format!("{name}, {}", shown(to.saturating_sub(*from))),
        );
    }
    for tenth in 0..=5u32 {
        let time = end * tenth / 5;
        let anchor = if tenth == 5 { "end" } else { "start" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            at(time),
            height - 6,
            shown(time)
        );
    }
    svg + "</svg>"
}

fn rectangle(svg: &mut String, (from, to): (f64, f64), thread: usize, class: &str, title: &str) {
    let (y, width) = (thread * (ROW + 6), (to - from).max(0.2));
    let _ = writeln!(
        svg,
        "<rect x=\"{from:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{ROW}\" fill=\"var(--{class})\"><title>{title}</title></rect>"
    );
}

/// The stages with their ends.
fn ended(spans: &Spans, end: Duration) -> Vec<(&str, &str, usize, Duration, Duration)> {
    let all = spans.stages.iter().enumerate();
    all.map(|(place, (image, stage, thread, from))| {
        let next = spans.stages[place + 1..].iter().find(|(other, ..)| other == image);
        (image.as_str(), stage.as_str(), *thread, *from, next.map_or(end, |next| next.3))
    })
    .collect()
}

fn totals(spans: &Spans, end: Duration) -> String {
    let mut table = String::from("<table><tr><th>what</th><th>time of all threads</th><th>of one thread</th></tr>\n");
    for (what, name, ..) in KINDS {
        let all: Duration =
            spans.work.iter().filter(|span| span.1 == what).map(|span| span.3.saturating_sub(span.2)).sum();
        let share = all.as_secs_f64() * 100.0 / end.as_secs_f64().max(1e-9);
        let _ = writeln!(
            table,
            "<tr><td><i style=\"background:var(--{name})\"></i>{name}</td><td>{}</td><td>{share:.0} %</td></tr>",
            shown(all)
        );
    }
    table + "</table>"
}

fn stages(spans: &Spans, end: Duration) -> String {
    let mut times: BTreeMap<&str, (usize, Duration)> = BTreeMap::new();
    let mut order = Vec::new();
    for (_, stage, _, from, to) in ended(spans, end) {
        let time = times.entry(stage).or_insert_with(|| {
            order.push(stage);
            (0, Duration::ZERO)
        });
        *time = (time.0 + 1, time.1 + to.saturating_sub(from));
    }
    let mut table = String::from("<table><tr><th>stage</th><th>images</th><th>time</th></tr>\n");
    for stage in order {
        let (count, time) = times[stage];
        let _ = writeln!(table, "<tr><td>{}</td><td>{count}</td><td>{}</td></tr>", escaped(stage), shown(time));
    }
    table + "</table>"
}

fn shown(time: Duration) -> String {
    if time.as_secs() >= 10 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
