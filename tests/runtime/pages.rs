//! Reports in a real browser: what they show, how a keyboard moves through them, how large they are.

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
