//! The recipe's own tests without a runtime: matchers, forms of results, HTTP answers, the bundle of a runtime.

use std::time::Duration;

use mkimage::path::ImagePath;
use mkimage::recipe::TextCheck;
use mkimage::run::{Account, Mount, Network, Parameters, Start, config};
use mkimage::trial::{Answer, Outcome, Verdict, json, junit, mismatch, tap, text};
use serde_json::{Value, json as value};

#[test]
fn matchers_say_how_a_text_differs() {
    let contains = TextCheck::Contains("PON".to_owned());
    let matches = TextCheck::Matches("^PO.G$".to_owned());
    let is = TextCheck::Is("PONG".to_owned());
    assert_eq!(mismatch(&contains, "PONG\n"), None);
    assert_eq!(mismatch(&matches, "a\nPONG\nb"), None);
    assert_eq!(mismatch(&is, "PONG\n").unwrap(), "is `PONG\\n`, not `PONG`");
    assert_eq!(mismatch(&contains, "\x1b[1m").unwrap(), "does not contain `PON`");
    assert_eq!(mismatch(&matches, "PONGS").unwrap(), "does not match `^PO.G$`");
}

fn outcomes() -> Vec<Outcome> {
    let outcome = |name: &str, verdict| Outcome {
        recipe: "web.toml".to_owned(),
        name: name.to_owned(),
        place: "web.toml:3:1".to_owned(),
        verdict,
        time: Duration::from_millis(1500),
    };
    vec![
        outcome("answers", Verdict::Passed),
        outcome("a # b", Verdict::Failed(vec!["exits with 1, not 0".to_owned(), "  stderr: <x> & \"y\"".to_owned()])),
        outcome("later", Verdict::Skipped("needs a disk".to_owned())),
    ]
}

#[test]
fn results_are_tap() {
    let wanted = "TAP version 14\n1..3\nok 1 - web.toml: answers\n  ---\n  duration_ms: 1500\n  ...\n\
        not ok 2 - web.toml: a \\# b\n  ---\n  duration_ms: 1500\n  at: web.toml:3:1\n  message: |\n\
        \x20   exits with 1, not 0\n      stderr: <x> & \"y\"\n  ...\n\
        ok 3 - web.toml: later # SKIP needs a disk\n  ---\n  duration_ms: 1500\n  ...\n";
    assert_eq!(tap(&outcomes()), wanted);
}

#[test]
fn results_are_xml_json_and_text() {
    let xml = junit(&outcomes());
    assert!(xml.contains("<testsuite name=\"web.toml\" tests=\"3\" failures=\"1\" skipped=\"1\">"), "{xml}");
    assert!(xml.contains("<failure message=\"exits with 1, not 0\">"), "{xml}");
    assert!(xml.contains("&lt;x&gt; &amp; &quot;y&quot;</failure>"), "{xml}");
    let document = json(&outcomes());
    let words: Vec<&Value> = document["tests"].as_array().unwrap().iter().map(|test| &test["outcome"]).collect();
    assert_eq!(words, ["passed", "failed", "skipped"]);
    assert!(text(&outcomes()).ends_with("1 passed, 1 failed, 1 skipped\n"));
}

#[test]
fn answers_are_read_with_chunks() {
    let answer = Answer::parse(
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    );
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (404, b"abcde".as_slice()));
    assert_eq!(answer.fields("x-a").collect::<Vec<_>>(), ["b"]);
    for broken in [&b""[..], b"HTTP/1.1 200\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc d\r\n\r\n"] {
        assert_eq!(Answer::parse(broken), None);
    }
    let cut = Answer::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc").unwrap();
    assert_eq!(cut.body, b"");
}

#[test]
fn parameters_are_those_of_the_configuration() {
    let document = value!({ "config": {
        "User": "65532:65532", "Env": ["PATH=/bin", "A=1"], "Entrypoint": ["/a"], "Cmd": ["b"],
        "ExposedPorts": { "53/udp": {}, "8080/tcp": {} }, "Volumes": { "/data": {}, "bad": {} }, "StopSignal": "SIGINT",
    } });
    let parameters = Parameters::of(&document);
    assert_eq!(parameters.command(None), ["/a", "b"]);
    assert_eq!(parameters.command(Some(&["c".to_owned()])), ["/a", "c"]);
    assert_eq!(parameters.environment([("A", "2")]), ["PATH=/bin", "A=2"]);
    assert_eq!((parameters.tcp_port(), parameters.workdir.as_str()), (Some(8080), "/"));
    assert_eq!(parameters.volumes, [ImagePath::new("/data").unwrap()]);
}

#[test]
fn a_bundle_gives_no_rights() {
    let start = Start {
        rootfs: "/r".into(),
        args: vec!["/a".to_owned()],
        env: vec!["A=1".to_owned()],
        workdir: "/".to_owned(),
        account: Account { uid: 7, gid: 8, groups: vec![9] },
        mounts: vec![
            Mount::Memory { to: ImagePath::new("/tmp").unwrap(), mode: 0o1777 },
            Mount::Bind { from: "/h".into(), to: ImagePath::new("/i").unwrap(), read_only: true },
        ],
        read_only: true,
        terminal: false,
        network: Network::None,
    };
    let bundle = config(&start);
    let process = value!({
        "terminal": false, "user": { "uid": 7, "gid": 8, "additionalGids": [9] }, "args": ["/a"], "env": ["A=1"],
        "cwd": "/", "noNewPrivileges": true,
        "capabilities": { "bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": [] },
    });
    assert_eq!(bundle["ociVersion"], "1.0.2");
    assert_eq!(bundle["process"], process);
    assert_eq!(bundle["root"], value!({ "path": "/r", "readonly": true }));
    let kinds =
        value!([{ "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }, { "type": "network" }]);
    assert_eq!(bundle["linux"]["namespaces"], kinds);
    let mounts = bundle["mounts"].as_array().unwrap();
    let last = value!([
        { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"] },
        { "destination": "/i", "type": "bind", "source": "/h", "options": ["rbind", "nosuid", "nodev", "ro"] },
    ]);
    assert_eq!(Value::from(mounts[mounts.len() - 2..].to_vec()), last);
    let shared = config(&Start { network: Network::Caller { host: true }, ..start });
    assert!(!shared["linux"]["namespaces"].to_string().contains("network"));
}
