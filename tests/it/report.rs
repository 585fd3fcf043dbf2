//! Pages and pictures: whole, alone, the same every time, whatever images hold.

use mkimage::picture::{Shares, treemap};
use mkimage::survey::Survey;
use serde_json::Value;

use super::diff::{root, sandbox};
use super::sandbox::Sandbox;
use super::support::root::Root;

/// A name that would be markup, and end a script, if anything let it.
const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'|`";

/// Two images with libraries that need others, and names that are hostile.
fn images() -> (Root, Root, Sandbox) {
    let more = "/usr/lib/x86_64-linux-gnu/libupper.so.1 library liblower.so.1 libc.so.6
        /usr/lib/x86_64-linux-gnu/liblower.so.1 library libc.so.6
        /srv/<b>bold&.txt file text";
    let (old, new) = (root("1", more), root("2", more));
    for root in [&old, &new] {
        root.line("/usr/bin/web program libssl.so.3 libupper.so.1 libc.so.6");
    }
    let recipe = format!("files = [\"/srv/\"]\n[labels]\nhostile = '''{HOSTILE}'''\n");
    let sandbox = sandbox((&old, &recipe), (&new, &recipe));
    (old, new, sandbox)
}

/// The names of a page's tags, checked to be nested: what a parser would not have to repair.
fn nested(text: &str) -> Vec<String> {
    const VOID: [&str; 3] = ["meta", "input", "br"];
    let (mut open, mut seen, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if rest.starts_with('!') {
            rest = &rest[rest.find('>').expect("a declaration ends")..];
            continue;
        }
        // The end of a tag is not inside of quotes.
        let mut quoted = false;
        let end = rest.find(|c: char| {
            quoted ^= c == '"';
            c == '>' && !quoted
        });
        let (tag, after) = rest.split_at(end.unwrap_or_else(|| panic!("a tag does not end: {rest:.80}")));
        rest = &after[1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "</{name}> closes another");
            continue;
        }
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(!name.is_empty(), "`<` stands for itself before {rest:.80}");
        seen.push(name.clone());
        if name == "script" || name == "style" {
            rest = &rest[rest.find(&format!("</{name}")).expect("it is closed")..];
        }
        if !VOID.contains(&name.as_str()) && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    seen
}

/// Asserts that a page names nothing outside of itself. The names of XML's vocabularies are no addresses.
fn alone(page: &str) {
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "//cdn", " src=", "@import", "url(", "<link", "<base", "<iframe"] {
        let scripted = page.matches(word).count();
        let in_data = page.matches(&format!("\\u003cimg{word}")).count();
        assert_eq!(scripted, in_data, "{word}");
    }
}

/// The value that a page holds for its script.
fn data(page: &str) -> Value {
    let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    serde_json::from_str(&page[start..start + page[start..].find("</script>").unwrap()]).unwrap()
}

#[test]
fn a_report_is_one_page_that_needs_nothing() {
    let (_old, _new, sandbox) = images();
    let run = sandbox.run(&["report", "old.toml", "new.toml", "-o", "a.html"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sandbox.run(&["report", "-q", "old.toml", "new.toml", "-o", "b.html"]).stderr, "");
    let [page, again] = ["a.html", "b.html"].map(|name| std::fs::read_to_string(sandbox.at(name)).unwrap());
    assert!(page == again, "the same images give the same bytes");
    let tags = nested(&page);
    assert_eq!(tags.iter().filter(|tag| *tag == "script").count(), 2, "what the image holds starts no script");
    alone(&page);

    let data = data(&page);
    assert_eq!(data["images"].as_array().unwrap().len(), 2);
    let image = &data["images"][0];
    let hostile = image["settings"].as_array().unwrap().iter().find(|it| it[0] == "label hostile").unwrap();
    assert_eq!(hostile[1], HOSTILE);
    // Every file stands once among the shares, and what the script sums is the image's size.
    let files = image["files"].as_array().unwrap();
    let mut shares: Vec<u64> = image["shares"].as_array().unwrap().iter().filter_map(|it| it[0].as_u64()).collect();
    shares.sort_unstable();
    assert_eq!(shares, (0..files.len() as u64).collect::<Vec<_>>());
    let size: u64 = files.iter().map(|file| file[1].as_u64().unwrap()).sum();
    assert_eq!(image["size"], size);
    // Layers that both have stand once.
    let uses: usize = data["images"].as_array().unwrap().iter().map(|it| it["layers"].as_array().unwrap().len()).sum();
    assert!(data["layers"].as_array().unwrap().len() < uses);
}

#[test]
fn a_report_needs_no_recipe_and_fails_whole() {
    let (_old, _new, sandbox) = images();
    sandbox.run(&["build", "-q", "old.toml", "-o", "old.tar"]);
    let page = sandbox.run(&["report", "old.tar", "-o", "-"]).stdout;
    nested(&page);
    let image = &data(&page)["images"][0];
    assert_eq!(image["told"], false);
    let askers: Vec<&str> =
        image["web"]["askers"].as_array().unwrap().iter().map(|it| it[0].as_str().unwrap()).collect();
    assert!(askers.contains(&"entrypoint") && askers.contains(&"of no package"), "{askers:?}");
    sandbox.file("there.html", "mine");
    let run = sandbox.run(&["report", "old.tar", "nowhere.oci", "none.toml", "-o", "there.html"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("nowhere.oci") && run.stderr.contains("none.toml"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(sandbox.at("there.html")).unwrap(), "mine");
    assert_eq!(sandbox.run(&["report", "old.tar", "-o", "nowhere/there.html"]).code, 1);
}

#[test]
fn the_page_of_a_difference_is_whole_and_alone() {
    let (_old, _new, sandbox) = images();
    let run = sandbox.run(&["diff", "--format=html", "old.toml", "new.toml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let tags = nested(&run.stdout);
    assert!(!tags.iter().any(|tag| tag == "script"));
    assert_eq!(tags.iter().filter(|tag| *tag == "svg").count(), 2);
    alone(&run.stdout);
    assert!(run.stdout.contains("<h2>Packages <span class=\"soft\">1</span></h2>"));
    let same = sandbox.run(&["diff", "--format=html", "old.toml", "old.toml"]).stdout;
    nested(&same);
    assert!(same.contains("No difference."));
}

#[test]
fn shares_are_what_would_go() {
    let (_old, _new, sandbox) = images();
    sandbox.run(&["build", "-q", "old.toml", "-o", "old.oci"]);
    let store = mkimage::output::open(&sandbox.at("old.oci")).unwrap();
    let survey = Survey::of_written(&store).unwrap().pop().unwrap();
    let shares = Shares::of(&survey).0;
    let find = |name: &str| shares.iter().find(|share| share.name.ends_with(name)).unwrap();
    let above = |name: &str| shares[find(name).above].name.clone();
    assert_eq!(above("/liblower.so.1"), "/usr/lib/x86_64-linux-gnu/libupper.so.1");
    assert_eq!(above("/libupper.so.1"), "/usr/bin/web");
    let upper = find("/libupper.so.1");
    assert_eq!(upper.total, upper.own + find("/liblower.so.1").own);
    assert_eq!(shares[0].total, survey.size());
    // A picture is well-formed, whatever it shows.
    let drawn = treemap(&Shares::of(&survey), HOSTILE, 600.0, 300.0);
    nested(&drawn);
    assert_eq!(drawn, treemap(&Shares::of(&survey), HOSTILE, 600.0, 300.0));
}

/// The edges of a graph in text, by the labels of what they join.
fn edges(text: &str, arrow: &str) -> Vec<[String; 2]> {
    let label = |vertex: &str| {
        let starts =
            |line: &&str| line.trim().strip_prefix(vertex).is_some_and(|rest| rest.starts_with([' ', '[', '(']));
        let line = text.lines().find(|line| starts(line) && line.contains('"')).expect("every vertex has a label");
        line.split('"').nth(1).unwrap().to_owned()
    };
    let edge = |line: &str| {
        let (from, to) = line.trim().trim_end_matches(';').split_once(arrow)?;
        Some([label(from), label(to)])
    };
    text.lines().filter(|line| !line.contains('"')).filter_map(edge).collect()
}

#[test]
fn graphs_leave_out_what_others_imply() {
    let (old, _new, sandbox) = images();
    // A third edge, which the two over libupper imply.
    old.line("/usr/bin/web program libssl.so.3 libupper.so.1 liblower.so.1 libc.so.6");
    let named = |[from, to]: [&str; 2]| [from.to_owned(), to.to_owned()];
    let implied = named(["web •", "liblower.so.1 •"]);
    let drawn = [["web •", "libupper.so.1 •"], ["libupper.so.1 •", "liblower.so.1 •"], ["web •", "libssl.so.3 •"]];
    for (form, arrow) in [("mermaid", " --> "), ("dot", " -> ")] {
        let run = sandbox.run(&["tree", "--format", form, "old.toml"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let edges = edges(&run.stdout, arrow);
        for edge in drawn {
            assert!(edges.contains(&named(edge)), "{form}: {edge:?} in {}", run.stdout);
        }
        assert!(!edges.contains(&implied), "{}", run.stdout);
        assert!(!edges.iter().any(|[_, to]| to.starts_with("libc.so")), "{}", run.stdout);
    }
    for form in ["svg", "treemap"] {
        let run = sandbox.run(&["tree", "--format", form, "old.toml"]);
        nested(&run.stdout);
        alone(&run.stdout);
        assert_eq!(run.stdout, sandbox.run(&["tree", "--format", form, "old.toml"]).stdout);
    }
    assert_eq!(sandbox.run(&["tree", "--format=svg", "old.toml", "new.toml"]).code, 2);
}
