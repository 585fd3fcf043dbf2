//! Reports in a real browser: what they show, how a keyboard moves through them, how large they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::call::Call;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "a_report_opens_in_a_browser",
        needs: &["chromium", "/usr/lib/postgresql/15/bin/postgres"],
        run: postgres,
    },
    Test {
        name: "the_picture_of_the_readme_is_today_s",
        needs: &["python3.11", "/usr/lib/postgresql/15/bin/postgres"],
        run: picture,
    },
    Test { name: "a_report_of_twenty_images_opens", needs: &["chromium"], run: twenty },
];

/// The most bytes of a page.
const MOST_BYTES: u64 = 2_000_000;

/// What a page has become after its script ran, and what it wrote of itself then.
fn opened(workshop: &Workshop, page: &Path, script: &str) -> String {
    let text = fs::read_to_string(page).expect("the report is there");
    let driven = page.with_extension("driven.html");
    let end = "</body>";
    let added = format!("<script>addEventListener('load', () => {{ {script} }});</script>\n{end}");
    fs::write(&driven, text.replace(end, &added)).expect("the folder is ours");
    let profile = workshop.make_folder(&format!("{}.profile", page.file_stem().unwrap_or_default().to_string_lossy()));
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
        "--virtual-time-budget=4000",
        "--dump-dom",
    ];
    let call = Call::new("chromium").args(flags).arg(format!("--user-data-dir={}", profile.display()));
    let dom = call.arg(format!("file://{}", driven.display())).text();
    let size = fs::metadata(page).expect("the report is there").len();
    assert!(size < MOST_BYTES, "{} has {size} bytes", page.display());
    let ready = dom.split("data-ready=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("the script ended");
    ready.parse::<u64>().expect("milliseconds");
    dom
}

fn postgres(workshop: &Workshop) {
    let page = workshop.path("postgres.html");
    workshop.mkimage().args(["report", "postgres.toml", "-o"]).arg(&page).text();
    // Keys as a reader would press them: into the largest area and back, along the tabs, down the tree.
    let script = "
        const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
        const log = [];
        const cells = () => [...document.querySelectorAll('.cell')];
        cells()[0].focus(); press('ArrowDown'); log.push('below ' + document.activeElement.getAttribute('aria-label'));
        press('ArrowUp'); document.activeElement.click(); log.push('inside ' + document.querySelector('[aria-current]').textContent);
        press('Escape'); log.push('back ' + document.querySelector('[aria-current]').textContent);
        document.getElementById('tab-size').focus(); press('ArrowRight'); log.push('tab ' + document.activeElement.id);
        document.querySelector('[role=treeitem]').focus(); press('ArrowRight'); press('ArrowDown');
        log.push('item ' + document.activeElement.querySelector('.what').textContent);
        const search = document.getElementById('search'); search.value = 'libicudata'; search.dispatchEvent(new Event('input'));
        log.push('found ' + document.querySelector('[role=status]').textContent + ' ' + document.getElementById('panel').textContent);
        document.body.append(Object.assign(document.createElement('pre'), { id: 'log', textContent: log.join('\\n') }));";
    let dom = opened(workshop, &page, script);
    let log = dom.split("id=\"log\">").nth(1).expect("the script ran to its end");
    for word in [
        "below /usr/lib/x86_64-linux-gnu/libicuuc.so.72.1, ",
        "inside needed by several",
        "back registry.example/postgres:",
        "tab tab-reasons",
        "item /usr/lib/postgresql/15/bin/postgres",
        "found 2 found",
        "libicuuc.so.72.1",
    ] {
        assert!(log.contains(word), "{word}: {log}");
    }
    assert_eq!(dom.matches("role=\"tab\"").count(), 7);
}

/// `docs/postgres.svg` is what `tree --format treemap` draws of the recipe: its head to the letter, the same large
/// areas, and about the same sum. Packages of this machine may be newer than those of the picture: versions and sizes
/// are not compared.
fn picture(workshop: &Workshop) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/postgres.svg");
    let well_formed = "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])";
    Call::new("python3.11").args(["-c", well_formed]).arg(&file).text();
    let kept = fs::read_to_string(&file).expect("the picture is there");
    let drawn = workshop.mkimage().args(["tree", "--format", "treemap", "postgres.toml"]).text();
    let again = "`mkimage tree --format treemap recipes/postgres.toml > docs/postgres.svg` draws it anew";
    let head = |svg: &str| svg.split("<text class=\"note\"").next().map(str::to_owned);
    assert_eq!(head(&kept), head(&drawn), "{again}");
    let (kept, drawn) = (areas(&kept), areas(&drawn));
    assert!(kept.len() > 30, "{kept:?}");
    for (of, other) in [(&kept, &drawn), (&drawn, &kept)] {
        for (name, megabytes) in of.iter().filter(|(_, megabytes)| **megabytes >= 1.0) {
            let there = other.get(name).copied().unwrap_or_default();
            assert!((there - megabytes).abs() < megabytes / 4.0, "{name}: {megabytes} MB, {there} MB; {again}");
        }
    }
}

/// The areas of a treemap by name, without versions of libraries, and their megabytes; those of one name together.
fn areas(svg: &str) -> BTreeMap<String, f64> {
    let mut areas = BTreeMap::new();
    for title in svg.split("<g><title>").skip(1).filter_map(|rest| rest.split("</title>").next()) {
        let (name, size) = title.rsplit_once(": ").expect("a size follows the name");
        let name = name.split_once(".so.").map_or(name.to_owned(), |(name, _)| format!("{name}.so"));
        let name = name.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ' ');
        let (number, unit) =
            size.split(", ").next().and_then(|size| size.split_once(' ')).expect("a number and a unit");
        let number: f64 = number.parse().expect("a number");
        let megabytes = match unit {
            "MB" => number,
            "kB" => number / 1_000.0,
            _ => number / 1_000_000.0,
        };
        *areas.entry(name.to_owned()).or_default() += megabytes;
    }
    areas
}

fn twenty(workshop: &Workshop) {
    let recipes: Vec<String> = (0..20).map(|number| format!("small{number}.toml")).collect();
    for (number, name) in recipes.iter().enumerate() {
        let other = ["/usr/bin/sha256sum", "/usr/bin/openssl", "/usr/bin/curl", "/usr/bin/git"][number % 4];
        let text = format!(
            "name = \"company/small{number}\"\nbinaries = [\"{other}\", \"/usr/bin/date\"]\n\
             files = [{{ content = \"{number}\", to = \"/etc/number\" }}]\n"
        );
        workshop.write(name, &text);
    }
    let page = workshop.path("twenty.html");
    workshop.mkimage().arg("report").args(&recipes).arg("-o").arg(&page).text();
    let dom = opened(workshop, &page, "");
    assert!(dom.contains("The layers of 20 images are "), "what is shared is summed");
    assert_eq!(dom.matches("class=\"vertical\"").count(), 20, "each image has a column");
    assert_eq!(dom.matches("role=\"tab\"").count(), 8);
}
