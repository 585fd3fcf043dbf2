//! Every rule that programs fail without has a root here on which it is seen to act, and the result is another without
//! it.

use std::collections::BTreeMap;

use mkimage::needs::{self, Level, Libc};

use super::needs::Sandbox;

const LIB: &str = "/usr/lib/x86_64-linux-gnu";

/// A root on which one condition of a rule holds, and a line of what the rule brings.
struct Case {
    rule: &'static str,
    program: &'static str,
    imports: &'static [&'static str],
    /// A library's soname, below [`LIB`].
    library: &'static str,
    /// Paths that the program and the library hold.
    holds: &'static [&'static str],
    files: &'static [&'static str],
    /// The end of a line that the rule brings.
    brings: &'static str,
}

const fn case(rule: &'static str, program: &'static str, library: &'static str) -> Case {
    Case { rule, program, library, imports: &[], holds: &[], files: &[], brings: "" }
}

const PROGRAM: &str = "/usr/bin/serve";

const CASES: &[Case] = &[
    Case {
        imports: &["pthread_cancel"],
        brings: "load libgcc_s.so.1 by /usr/lib/x86_64-linux-gnu/libc.so.6 (required)",
        ..case("libgcc", PROGRAM, "")
    },
    Case {
        files: &["/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so"],
        brings: "nss/libsoftokn3.so by /usr/lib/x86_64-linux-gnu/libnss3.so (required)",
        ..case("nss-mozilla", PROGRAM, "libnss3.so")
    },
    Case {
        imports: &["getpwnam"],
        brings: "load libnss_files.so.2 by /usr/lib/x86_64-linux-gnu/libc.so.6 (required)",
        ..case("nss", PROGRAM, "")
    },
    Case {
        files: &["/usr/share/zoneinfo/UTC"],
        brings: "file /usr/share/zoneinfo/UTC",
        ..case("tzdata", "/usr/lib/postgresql/15/bin/postgres", "")
    },
    Case {
        files: &["/usr/share/misc/magic.mgc"],
        brings: "file /usr/share/misc/magic.mgc",
        ..case("magic", PROGRAM, "libmagic.so.1")
    },
    Case {
        imports: &["pam_start"],
        holds: &["/lib/security"],
        files: &["/etc/pam.d/serve", "/etc/pam.d/other"],
        brings: "file /etc/pam.d/serve",
        ..case("pam", PROGRAM, "libpam.so.0")
    },
    Case {
        holds: &["/usr/lib/x86_64-linux-gnu/gstreamer-1.0"],
        files: &["/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgstcore.so"],
        brings: "libgstcore.so by /usr/lib/x86_64-linux-gnu/libgstreamer-1.0.so.0 (required)",
        ..case("gstreamer", PROGRAM, "libgstreamer-1.0.so.0")
    },
    Case {
        holds: &["/usr/lib/ImageMagick-6/coders/"],
        files: &["/usr/lib/ImageMagick-6/coders/png.la", "/usr/lib/ImageMagick-6/coders/png.so"],
        brings: "file /usr/lib/ImageMagick-6/coders/png.la",
        ..case("imagemagick", PROGRAM, "libMagickCore-6.Q16.so.6")
    },
    Case {
        files: &["/usr/share/ghostscript/10/Resource/Init/gs_init.ps"],
        brings: "gs_init.ps",
        ..case("ghostscript", PROGRAM, "libgs.so.10")
    },
    Case {
        files: &["/usr/share/icu/74/icudt74l.dat"],
        brings: "icudt74l.dat",
        ..case("icu-data", PROGRAM, "libicuuc.so.74")
    },
    Case {
        files: &["/usr/lib/python3.11/os.py", "/usr/lib/python3.11/test/x.py"],
        brings: "file /usr/lib/python3.11/os.py",
        ..case("python", "/usr/bin/python3.11", "")
    },
    Case {
        holds: &["/usr/share/perl/5.36"],
        files: &["/usr/share/perl/5.36/strict.pm"],
        brings: "file /usr/share/perl/5.36/strict.pm",
        ..case("perl", "/usr/bin/perl", "")
    },
    Case {
        holds: &["/opt/ruby/lib/ruby/3.1.0"],
        files: &["/opt/ruby/lib/ruby/3.1.0/json.rb"],
        brings: "json.rb",
        ..case("ruby", PROGRAM, "libruby-3.1.so.3.1")
    },
    Case { files: &["/opt/r/lib/ruby/3.1.0/json.rb"], brings: "json.rb", ..case("ruby", "/opt/r/bin/ruby3.1", "") },
    Case {
        holds: &["/etc/php/8.2/cli", "/etc/php/8.2/cli/conf.d"],
        files: &["/etc/php/8.2/cli/php.ini", "/etc/php/8.2/cli/conf.d/20-curl.ini"],
        brings: "20-curl.ini",
        ..case("php", "/usr/bin/php8.2", "")
    },
    Case {
        files: &["/opt/jre/lib/libjli.so", "/opt/jre/conf/net.properties"],
        brings: "libjli.so",
        ..case("java", "/opt/jre/bin/java", "")
    },
    Case { files: &["/usr/share/nodejs/acorn/index.js"], brings: "index.js", ..case("node", "/usr/bin/node", "") },
    Case {
        files: &["/usr/lib/R/library/base/DESCRIPTION"],
        brings: "DESCRIPTION",
        ..case("r", "/usr/lib/R/bin/exec/R", "libR.so")
    },
    Case {
        holds: &["/usr/share/tcltk/tcl8.6"],
        files: &["/usr/share/tcltk/tcl8.6/init.tcl"],
        brings: "init.tcl",
        ..case("tcl", PROGRAM, "libtcl8.6.so")
    },
    Case {
        files: &["/usr/share/guile/3.0/boot-9.scm"],
        brings: "boot-9.scm",
        ..case("guile", PROGRAM, "libguile-3.0.so.1")
    },
    Case { files: &["/usr/lib/openssh/sshd-session"], brings: "sshd-session", ..case("sshd", "/usr/sbin/sshd", "") },
    Case {
        holds: &["/usr/share/postgresql/15"],
        files: &["/usr/share/postgresql/15/postgres.bki"],
        brings: "postgres.bki",
        ..case("postgresql", "/usr/lib/postgresql/15/bin/initdb", "")
    },
    Case {
        holds: &["/usr/share/mysql"],
        files: &["/usr/share/mysql/charsets/Index.xml"],
        brings: "Index.xml",
        ..case("mariadb", "/usr/sbin/mariadbd", "")
    },
    Case {
        holds: &["/usr/lib/dovecot"],
        files: &["/usr/lib/dovecot/auth", "/usr/lib/dovecot/imap"],
        brings: "dovecot/imap",
        ..case("dovecot", "/usr/sbin/dovecot", "")
    },
    Case {
        holds: &["/usr/lib/postfix/sbin"],
        files: &["/usr/lib/postfix/sbin/master", "/usr/lib/postfix/sbin/smtpd"],
        brings: "sbin/smtpd",
        ..case("postfix", "/usr/sbin/postfix", "")
    },
];

fn lines(case: &Case, extras: &[&str]) -> Vec<String> {
    let mut sandbox = Sandbox::new();
    if case.rule == "nss" {
        sandbox.libc = Some(Libc::Glibc(Some((2, 31))));
    }
    let held = format!("ELF\0{}\0", case.holds.join("\0"));
    sandbox.debian().file(case.program, &held).program(case.program, case.imports);
    if !case.library.is_empty() {
        let at = format!("{LIB}/{}", case.library);
        sandbox.file(&at, &held).library(&at, case.library);
    }
    for folder in case.holds {
        sandbox.file(&format!("{folder}/.folder"), "");
    }
    sandbox.files(case.files).extras(extras).lines()
}

#[test]
fn without_a_required_rule_something_is_missing() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for case in CASES {
        *seen.entry(case.rule).or_default() += 1;
        let with = lines(case, &[]);
        assert!(with.iter().any(|line| line.ends_with(case.brings)), "{}: {with:#?}", case.rule);
        let without = lines(case, &[&format!("!{}", case.rule)]);
        assert!(!without.iter().any(|line| line.ends_with(case.brings)), "{}: {without:#?}", case.rule);
    }
    for listing in needs::catalogue() {
        let name = listing.name.split([':', '[']).next().unwrap_or_default();
        let other = |trigger: &&String| trigger.ends_with("(recommended)") || trigger.ends_with("(optional)");
        let required = match listing.level {
            Level::Required => listing.triggers.len() - listing.triggers.iter().filter(other).count(),
            _ => listing.triggers.iter().filter(|trigger| trigger.ends_with("(required)")).count(),
        };
        let cases = seen.get(name).copied().unwrap_or_default();
        assert!(cases >= required, "`{name}` has {required} required conditions, and {cases} cases here");
    }
}
