//! Servers: each is asked over its own protocol, by a client from another image of `recipes/` where there is one.

use std::fs;

use crate::call::{Ended, eventually};
use crate::engine::{Container, Engine};
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "postgres_makes_a_cluster_and_answers_a_query",
        needs: &["podman", "runc", "/usr/lib/postgresql/15/bin/postgres"],
        run: postgres,
    },
    Test {
        name: "nginx_serves_a_page",
        needs: &["podman", "runc", "nginx", "curl"],
        run: |workshop| nginx(workshop, workshop.podman()),
    },
    Test {
        name: "nginx_serves_a_page_in_docker",
        needs: &["dockerd", "nginx", "curl"],
        run: |workshop| nginx(workshop, workshop.docker()),
    },
    Test { name: "haproxy_passes_requests_on", needs: &["podman", "runc", "haproxy", "nginx", "curl"], run: haproxy },
    Test {
        name: "redis_keeps_a_key_over_a_restart",
        needs: &["podman", "runc", "redis-server"],
        run: |workshop| redis(workshop, workshop.podman()),
    },
    Test {
        name: "redis_keeps_a_key_over_a_restart_in_docker",
        needs: &["dockerd", "redis-server"],
        run: |workshop| redis(workshop, workshop.docker()),
    },
    Test { name: "memcached_stores_and_answers", needs: &["podman", "runc", "memcached", "busybox"], run: memcached },
];

/// Asks with curl until there is an answer.
#[track_caller]
pub(crate) fn fetch(workshop: &Workshop, engine: &Engine, server: &Container, url: &str) -> String {
    let curl = workshop.image(engine, "curl");
    eventually(|| {
        let ended = server.client(&curl, &[], &["--silent", "--show-error", "--fail", url]).ended();
        if ended.success { Ok(ended.stdout) } else { Err(format!("{}\nserver: {}", ended.report(), server.logs())) }
    })
}

fn nginx(workshop: &Workshop, engine: &Engine) {
    let server = engine.start(&workshop.image(engine, "nginx"), &[], &[]);
    let page = fetch(workshop, engine, &server, "http://127.0.0.1:8080/");
    let wanted = fs::read_to_string(workshop.path("recipes/nginx/html/index.html")).expect("the page is in recipes");
    assert_eq!(page, wanted);
    assert_eq!(fetch(workshop, engine, &server, "http://127.0.0.1:8080/healthz"), "ok\n");
    assert!(server.logs().contains("GET / HTTP/1.1\" 200"), "{}", server.logs());
    server.stop();
}

fn haproxy(workshop: &Workshop) {
    let engine = workshop.podman();
    let backend = engine.start(&workshop.image(engine, "nginx"), &[], &[]);
    let proxy = backend.neighbour(&workshop.image(engine, "haproxy"), &["--env=PORT=9000"], &[]);
    let page = fetch(workshop, engine, &backend, "http://127.0.0.1:9000/");
    assert!(page.contains("It works"), "{page}");
    backend.stop();
    let curl = workshop.image(engine, "curl");
    let Ended { stdout, .. } = proxy.client(&curl, &[], &["--silent", "--include", "http://127.0.0.1:9000/"]).ended();
    assert!(stdout.starts_with("HTTP/1.0 503"), "HAProxy's own page once the backend is gone: {stdout}");
    proxy.stop();
}

fn redis(workshop: &Workshop, engine: &Engine) {
    let server = engine.start(&workshop.image(engine, "redis"), &[], &[]);
    let ready = || {
        eventually(|| {
            let ended = server.exec(&["redis-cli", "ping"]).ended();
            if ended.stdout == "PONG\n" { Ok(()) } else { Err(ended.report()) }
        });
    };
    ready();
    assert_eq!(server.exec(&["redis-cli", "set", "colour", "green"]).text(), "OK");
    server.stop();
    server.restart();
    ready();
    assert_eq!(server.exec(&["redis-cli", "get", "colour"]).text(), "green");
}

fn memcached(workshop: &Workshop) {
    let engine = workshop.podman();
    let server = engine.start(&workshop.image(engine, "memcached"), &[], &[]);
    let toolbox = workshop.image(engine, "toolbox");
    let talk = "set colour 0 0 5\r\ngreen\r\nget colour\r\nquit\r\n";
    let answer = eventually(|| {
        let ended = server.client(&toolbox, &[], &["nc", "127.0.0.1", "11211"]).input(talk).ended();
        if ended.success { Ok(ended.stdout) } else { Err(ended.report()) }
    });
    assert_eq!(answer, "STORED\r\nVALUE colour 0 5\r\ngreen\r\nEND\r\n");
    server.stop();
}

fn postgres(workshop: &Workshop) {
    let engine = workshop.podman();
    let password = workshop.path("password");
    fs::write(&password, "green").expect("the folder is ours");
    engine.volume("cluster");
    let data = "--volume=cluster:/var/lib/postgresql/data";
    let secret = format!("--volume={}:/run/secrets/password:ro", password.display());
    engine.once(&workshop.image(engine, "postgres-init"), &[data, &secret], &[]).text();

    let server = engine.start(&workshop.image(engine, "postgres"), &[data], &[]);
    server.wait_for("ready to accept connections");
    let query = |sql: &str| {
        let psql = workshop.image(engine, "psql");
        let args = ["--host=127.0.0.1", "--username=postgres", "--no-align", "--tuples-only", "--command", sql];
        server.client(&psql, &["--env=PGPASSWORD=green"], &args).text()
    };
    assert_eq!(query("select 6 * 7"), "42");
    assert_eq!(query("select timestamptz '2026-07-01 12:00Z' at time zone 'Europe/Berlin'"), "2026-07-01 14:00:00");
    assert_eq!(query("select 'ä' < 'z' collate \"C.utf8\", upper('ä' collate \"C.utf8\")"), "f|Ä");
    // An extension is a library that the server loads at run time.
    query("create extension pg_trgm");
    assert_eq!(query("select similarity('mkimage', 'mkimages') > 0.5"), "t");
    server.stop();
}
