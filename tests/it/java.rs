//! Java on synthetic roots: a company's certificates in the runtime's keystore, native libraries inside of jars.

use std::io::Write;

use crate::sandbox::{Run, Sandbox};
use crate::support::elf::{Elf, NEEDED, SONAME};
use crate::support::root::{GLIBC, Root};

const HOME: &str = "root/usr/lib/jvm/java";

/// A certificate's DER form with a recognisable inside, of exactly 36 bytes.
fn der(inside: u8) -> Vec<u8> {
    let body = [b"\x30\x1b".as_slice(), &[inside; 27], b"\x30\x00\x03\x01\x00"].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
}

fn pem(inside: u8) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = der(inside)
        .chunks(3)
        .flat_map(|group| {
            let bits = group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
            [18, 12, 6, 0].map(|shift| char::from(alphabet[bits >> shift & 63]))
        })
        .collect::<String>();
    format!("-----BEGIN CERTIFICATE-----\n{digits}\n-----END CERTIFICATE-----\n")
}

/// A keystore as Java writes it, with a digest that nobody checks here.
fn keystore(entries: &[(&str, u8)]) -> Vec<u8> {
    let mut bytes =
        [b"\xfe\xed\xfe\xed\0\0\0\x02".as_slice(), &u32::try_from(entries.len()).unwrap().to_be_bytes()].concat();
    for (alias, inside) in entries {
        bytes.extend([b"\0\0\0\x02\0".as_slice(), &[u8::try_from(alias.len()).unwrap()], alias.as_bytes()].concat());
        bytes.extend(b"\0\0\x01\x90\0\0\0\0\0\x05X.509");
        let der = der(*inside);
        bytes.extend([&u32::try_from(der.len()).unwrap().to_be_bytes(), der.as_slice()].concat());
    }
    bytes.extend(b"twenty bytes of hash");
    bytes
}

/// The insides of a keystore's certificates, with the beginnings of their aliases.
fn held(bytes: &[u8]) -> Vec<String> {
    let (mut rest, mut held) = (&bytes[12..bytes.len() - 20], Vec::new());
    while !rest.is_empty() {
        let length = usize::from(rest[5]);
        let alias = String::from_utf8(rest[6..6 + length].to_vec()).unwrap();
        assert_eq!(rest[6 + length..14 + length], 315_532_800_000_i64.to_be_bytes(), "the date");
        let body = &rest[14 + length..];
        assert_eq!(body[..7], *b"\0\x05X.509");
        held.push(format!("{} {}", alias.split(':').next().unwrap(), char::from(body[11 + 4])));
        rest = &body[11 + usize::from(body[10])..];
    }
    held
}

/// A root with a Java runtime and a bundle of the certificate `b`; the company's is `c`.
fn java() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .static_program(&format!("{HOME}/bin/java"), 62)
        .file(&format!("{HOME}/lib/modules"), "")
        .folder(&format!("{HOME}/lib/security"))
        .file("root/etc/os-release", "ID=debian\n")
        .file("root/etc/ssl/certs/ca-certificates.crt", pem(b'b'))
        .file("ca.pem", pem(b'c'));
    sandbox
}

#[track_caller]
fn built(sandbox: &Sandbox, root: &str, recipe: &str) -> Run {
    sandbox.file("r.toml", recipe);
    let run = sandbox.run(&["build", "r.toml", "--root", root, "-o", "rootfs:out"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    run
}

const RECIPE: &str = "binaries = [\"/usr/lib/jvm/java/bin/java\"]\npolicy = { no-pie = \"allow\" }\n";
const COMPANY: &str = "[certificates]\nadd = [\"ca.pem\"]\n";

fn shipped(sandbox: &Sandbox, path: &str) -> Vec<u8> {
    std::fs::read(sandbox.at("out").join(path)).unwrap()
}

#[test]
fn a_company_s_roots_join_the_runtime_s_own() {
    let sandbox = java();
    let own = keystore(&[("debian:z", b'z'), ("debian:a", b'a'), ("theirs", b'c')]);
    sandbox.file("root/etc/ssl/certs/java/cacerts", &own);
    sandbox.link(&format!("{HOME}/lib/security/cacerts"), "/etc/ssl/certs/java/cacerts");
    built(&sandbox, "root", RECIPE);
    assert_eq!(shipped(&sandbox, "etc/ssl/certs/java/cacerts"), own, "unchanged without a company");
    built(&sandbox, "root", &format!("{RECIPE}{COMPANY}"));
    let link = std::fs::read_link(sandbox.at("out/usr/lib/jvm/java/lib/security/cacerts")).unwrap();
    assert_eq!(link.to_str().unwrap(), "/etc/ssl/certs/java/cacerts");
    let expected = ["debian a", "debian z", "theirs c"];
    assert_eq!(held(&shipped(&sandbox, "etc/ssl/certs/java/cacerts")), expected, "each once, by alias");
    sandbox.file("ca.pem", pem(b'd') + &pem(b'c'));
    built(&sandbox, "root", &format!("{RECIPE}{COMPANY}"));
    let expected = ["company d", "debian a", "debian z", "theirs c"];
    assert_eq!(held(&shipped(&sandbox, "etc/ssl/certs/java/cacerts")), expected);
    let whole = "binaries = [\"/usr/lib/jvm/java/bin/java\"]\nfiles = [\"/usr/lib/jvm/java/\"]\npolicy = { no-pie = \"allow\" }\n";
    built(&sandbox, "root", &format!("{whole}{COMPANY}"));
    assert_eq!(held(&shipped(&sandbox, "etc/ssl/certs/java/cacerts")), expected, "a link of the recipe's leads there");
    built(&sandbox, "root", &format!("{RECIPE}{COMPANY}only = true\n"));
    let mut only = held(&shipped(&sandbox, "etc/ssl/certs/java/cacerts"));
    only.sort();
    assert_eq!(only, ["company c", "company d"]);
}

#[test]
fn a_keystore_of_another_form_or_none_is_made_of_the_bundle() {
    for (cacerts, link) in [(Some("0\u{82}"), false), (None, true), (None, false)] {
        let sandbox = java();
        let path = format!("{HOME}/lib/security/cacerts");
        if let Some(bytes) = cacerts {
            sandbox.file(&path, bytes);
        }
        if link {
            sandbox.link(&path, "/etc/ssl/certs/java/cacerts");
        }
        built(&sandbox, "root", &format!("{RECIPE}{COMPANY}"));
        let place = if link { "etc/ssl/certs/java/cacerts" } else { "usr/lib/jvm/java/lib/security/cacerts" };
        assert_eq!(held(&shipped(&sandbox, place)), ["ca b", "company c"], "{cacerts:?} {link}");
        assert!(sandbox.at("out/usr/lib/jvm/java/lib/security/cacerts").is_symlink() == link);
    }
}

#[test]
fn a_runtime_beside_the_recipe_gets_them_and_a_keystore_of_the_recipe_s_own_does_not() {
    let sandbox = java();
    sandbox
        .static_program("jre/bin/java", 62)
        .file("jre/lib/modules", "")
        .file("jre/lib/security/cacerts", keystore(&[("theirs", b't')]))
        .file("own", keystore(&[("mine", b'm')]));
    let files = "binaries = [\"/opt/jre/bin/java\"]\npolicy = { no-pie = \"allow\" }\nfiles = [{ from = \"jre/\", to = \"/opt/jre/\" }";
    built(&sandbox, "root", &format!("{files}]\n{COMPANY}"));
    assert_eq!(held(&shipped(&sandbox, "opt/jre/lib/security/cacerts")), ["company c", "theirs t"]);
    let own = format!("{files}, {{ from = \"own\", to = \"/opt/jre/lib/security/cacerts\" }}]\n{COMPANY}");
    built(&sandbox, "root", &own);
    assert_eq!(shipped(&sandbox, "opt/jre/lib/security/cacerts"), keystore(&[("mine", b'm')]));
    let told = sandbox.run(&["check", "-v", "r.toml", "--root", "root"]).stderr;
    assert!(told.contains("`/opt/jre/lib/security/cacerts` stays as the recipe gives it"), "{told}");
}

#[test]
fn a_keystore_that_ends_too_early_is_an_error() {
    let sandbox = java();
    let own = keystore(&[("a", b'a')]);
    sandbox.file(&format!("{HOME}/lib/security/cacerts"), &own[..40]).file("r.toml", format!("{RECIPE}{COMPANY}"));
    let run = sandbox.run(&["check", "r.toml", "--root", "root"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let expected = "error[E0243]: the keystore `/usr/lib/jvm/java/lib/security/cacerts` ends in the middle of an entry";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn node_and_python_are_told_of_a_company_s_roots() {
    for (program, company, variable) in [
        ("node", true, Some("NODE_EXTRA_CA_CERTS")),
        ("python3.11", true, Some("REQUESTS_CA_BUNDLE")),
        ("serve", true, None),
        ("node", false, None),
    ] {
        let sandbox = java();
        sandbox.static_program(&format!("root/usr/bin/{program}"), 62);
        sandbox.file("root/usr/lib/python3.11/encodings/__init__.py", "");
        let company = if company { COMPANY } else { "" };
        let extras = "extras = [\"ca-certificates\"]\npolicy = { no-pie = \"allow\" }\n";
        sandbox.file("r.toml", format!("binaries = [\"{program}\"]\n{extras}{company}"));
        let run = sandbox.run(&["build", "r.toml", "--root", "root", "-o", "oci:layout"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let config = sandbox.run(&["inspect", "layout", "--format", "json"]).stdout;
        for name in ["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"] {
            let there = config.contains(&format!("{name}=/etc/ssl/certs/ca-certificates.crt"));
            assert_eq!(there, variable == Some(name), "{program}: {config}");
        }
    }
}

/// A ZIP archive; members whose name begins with `~` are deflated.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    let word = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    for (name, bytes) in members {
        let deflated = name.starts_with('~');
        let name = name.trim_start_matches('~');
        let mut packed = bytes.to_vec();
        if deflated {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            packed = encoder.finish().unwrap();
        }
        let method = if deflated { b"\x08\0" } else { b"\0\0" };
        let common = [
            b"\x14\0\0\0".as_slice(),
            method,
            &[0; 8],
            &word(packed.len()),
            &word(bytes.len()),
            &u16::try_from(name.len()).unwrap().to_le_bytes(),
        ]
        .concat();
        let at = body.len();
        body.extend([b"PK\x03\x04".as_slice(), &common, b"\x03\0", name.as_bytes(), b"xtr", &packed].concat());
        let entry = [b"PK\x01\x02\0\0".as_slice(), &common, &[0; 12], &word(at), name.as_bytes()];
        directory.extend(entry.concat());
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let end =
        [b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count, &word(directory.len()), &word(body.len()), b"\x02\0hi"];
    [body, directory, end.concat()].concat()
}

/// A library that needs others.
fn native(machine: u16, soname: &str, needed: &[&str]) -> Vec<u8> {
    let library = needed.iter().fold(Elf::library(), |elf, name| elf.with(NEEDED, name)).with(SONAME, soname);
    Elf { machine, ..library }.write()
}

/// A root with a Java runtime and libraries that nothing of it loads.
fn runtime() -> Root {
    Root::glibc(&format!(
        "/usr/lib/jvm/java/bin/java program libc.so.6 interp={GLIBC}
         /usr/lib/jvm/java/lib/server/libjvm.so library libc.so.6
         /usr/lib/jvm/java/lib/security dir
         /usr/lib/x86_64-linux-gnu/libstdc++.so.6 library libm.so.6 libc.so.6
         /usr/lib/x86_64-linux-gnu/libm.so.6 library libc.so.6
         /usr/lib/x86_64-linux-gnu/libz.so.1 library libc.so.6
         /usr/lib/x86_64-linux-gnu/libarm.so.1 library libc.so.6
         /usr/lib/x86_64-linux-gnu/libinner.so.1 library libc.so.6
         /etc/os-release file ID=debian"
    ))
}

const JARS: &str = "binaries = [\"/usr/lib/jvm/java/bin/java\"]\nfiles = [{ from = \"app/\", to = \"/app/\" }]\n";

#[test]
fn libraries_in_jars_bring_what_they_need() {
    let (root, sandbox) = (runtime(), Sandbox::new());
    let rocks = native(62, "librocksdbjni.so", &["libstdc++.so.6", "libhelper.so", "libjvm.so", "", "..", "libc.so.6"]);
    let inner = zip(&[("~META-INF/native/libinner.so", &native(62, "libi.so", &["libinner.so.1"]))]);
    let jar = zip(&[
        ("~librocksdbjni-linux64.so", &rocks),
        ("librocksdbjni-linux64-musl.so", &native(62, "librocksdbjni.so", &["libgone.so.1", "libc.musl-x86_64.so.1"])),
        ("librocksdbjni-linux-aarch64.so", &native(183, "librocksdbjni.so", &["libarm.so.1"])),
        ("librocksdbjni-osx.jnilib", b"\xcf\xfa\xed\xfe of another kind"),
        ("linux/libhelper.so", &native(62, "libhelper.so", &["libz.so.1"])),
        ("BOOT-INF/lib/inner.jar", &inner),
        ("App.class", b"\xca\xfe\xba\xbe"),
    ]);
    // Something before an archive shifts its numbers, as the start script of an executable jar.
    sandbox.file("app/app.jar", [b"#!/bin/sh\nexec java -jar\n".as_slice(), &jar].concat());
    let root = root.host("/");
    let root = root.to_str().unwrap();
    built(&sandbox, root, JARS);
    let expected = ["ld-linux-x86-64.so.2", "libc.so.6", "libinner.so.1", "libm.so.6", "libstdc++.so.6", "libz.so.1"];
    assert_eq!(sandbox.names("out/usr/lib/x86_64-linux-gnu"), expected);
    let why = sandbox.run(&["why", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "r.toml", "--root", root]).stdout;
    assert!(why.contains("/app/app.jar holds librocksdbjni-linux64.so"), "{why}");
    let told = sandbox.run(&["check", "-v", "r.toml", "--root", root]).stderr;
    assert!(
        told.contains("note: `/app/app.jar` holds `librocksdbjni-linux64.so`, which is unpacked to `/tmp`"),
        "{told}"
    );
    assert!(!told.contains("libgone") && !told.contains("was left out"), "{told}");
    built(&sandbox, root, &format!("{JARS}extras = [\"!jar-libraries\"]\n"));
    assert_eq!(sandbox.names("out/usr/lib/x86_64-linux-gnu"), ["ld-linux-x86-64.so.2", "libc.so.6"]);
}

#[test]
fn what_a_library_in_a_jar_lacks_is_told_and_broken_jars_too() {
    let (root, sandbox) = (runtime(), Sandbox::new());
    let jar = zip(&[("libx.so", &native(62, "libx.so", &["libgone.so.1", "libz.so.1"]))]);
    sandbox.file("app/app.jar", &jar).file("app/text.jar", "no archive");
    for (name, end) in [("a", 10), ("b", jar.len() - 20), ("c", jar.len() - 60)] {
        sandbox.file(&format!("app/{name}.jar"), &jar[..end]);
    }
    let mut lying = jar.clone();
    let end = lying.len() - 24;
    lying[end + 16..end + 20].copy_from_slice(b"\xff\xff\xff\x7f");
    sandbox.file("app/lying.jar", lying);
    let root = root.host("/");
    let told = built(&sandbox, root.to_str().unwrap(), JARS).stderr;
    assert!(sandbox.at("out/usr/lib/x86_64-linux-gnu/libz.so.1").exists());
    for name in ["a", "b", "c", "lying", "text"] {
        assert!(told.contains(&format!("what libraries `/app/{name}.jar` holds is unknown: it ")), "{name}: {told}");
    }
    let told = sandbox.run(&["check", "-v", "r.toml", "--root", root.to_str().unwrap()]).stderr;
    assert!(told.contains("`libgone.so.1` was left out: it is not in the root"), "{told}");
}
