//! Folders in which Bundler, `ExtUtils::MakeMaker` and Composer put what a program depends on, copied with the program.

use std::fs;

use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "gems_in_vendor_bundle_load", needs: &["runc", "bundle", "gem", "cc"], run: ruby },
    Test { name: "modules_of_a_local_lib_load", needs: &["runc", "perl", "make"], run: perl },
    Test { name: "packages_of_composer_load", needs: &["runc", "composer", "php"], run: php },
];

/// Files below the folder of recipes.
fn write(workshop: &Workshop, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = workshop.path("recipes").join(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the workshop is ours");
        fs::write(path, text).expect("the workshop is ours");
    }
}

/// Runs a program in its image.
fn passes(workshop: &Workshop, name: &str, entrypoint: [&str; 2], stdout: &str) {
    let text = format!(
        "name = \"company/{name}\"\nbinaries = [{:?}]\nfiles = [{{ from = \"{name}/app/\", to = \"/app/\" }}]\n\
         workdir = \"/app\"\nentrypoint = {entrypoint:?}\n[[test]]\nexpect = {{ stdout = \"{stdout}\\n\" }}\n",
        entrypoint[0]
    );
    workshop.write(&format!("{name}.toml"), &text);
    workshop.mkimage().args(["test", &format!("{name}.toml")]).text();
}

/// A gem with an extension, which needs a library that nothing else does.
fn ruby(workshop: &Workshop) {
    let gemspec = "Gem::Specification.new do |s|\n s.name = 'hello'\n s.version = '0.1.0'\n s.summary = 'x'\n s.authors = ['a']\n \
        s.files = ['lib/hello.rb', 'ext/hello/extconf.rb', 'ext/hello/hello.c']\n s.extensions = ['ext/hello/extconf.rb']\nend\n";
    let code = "#include <ruby.h>\nconst char *zlibVersion(void);\nstatic VALUE one(VALUE s) { return INT2NUM(zlibVersion()[0] - '0'); }\n\
        void Init_hello(void) { rb_define_singleton_method(rb_define_module(\"Hello\"), \"one\", one, 0); }\n";
    write(
        workshop,
        &[
            ("gems/gem/hello.gemspec", gemspec),
            ("gems/gem/lib/hello.rb", "require 'hello/hello'\n"),
            ("gems/gem/ext/hello/extconf.rb", "require 'mkmf'\nhave_library('z')\ncreate_makefile('hello/hello')\n"),
            ("gems/gem/ext/hello/hello.c", code),
            ("gems/app/Gemfile", "source 'https://registry.example'\ngem 'hello'\n"),
            ("gems/app/.bundle/config", "---\nBUNDLE_PATH: \"vendor/bundle\"\n"),
            ("gems/app/app.rb", "require 'bundler/setup'\nrequire 'hello'\nputs Hello.one\n"),
            ("gems/app/vendor/cache/.keep", ""),
        ],
    );
    workshop.prepare(&[
        &["gem", "build", "-C", "gems/gem", "-o", "../app/vendor/cache/hello-0.1.0.gem", "hello.gemspec"],
        &["sh", "-c", "cd gems/app && bundle install --local --quiet"],
    ]);
    passes(workshop, "gems", ["/usr/bin/ruby", "app.rb"], "1");
}

fn perl(workshop: &Workshop) {
    let make = "use ExtUtils::MakeMaker; WriteMakefile(NAME => 'Hello', VERSION_FROM => 'lib/Hello.pm');\n";
    let module = "package Hello; our $VERSION = '0.1'; use List::Util 'sum'; sub two { sum(1, 1) } 1;\n";
    let program = "use lib '/app/vendor/lib/perl5'; use Hello; print Hello::two(), \"\\n\";\n";
    write(
        workshop,
        &[("modules/hello/Makefile.PL", make), ("modules/hello/lib/Hello.pm", module), ("modules/app/app.pl", program)],
    );
    let install = "cd modules/hello && perl Makefile.PL INSTALL_BASE=\"$PWD/../app/vendor\" && make install";
    workshop.prepare(&[&["sh", "-c", install]]);
    passes(workshop, "modules", ["/usr/bin/perl", "app.pl"], "2");
}

/// A package that Composer links to, and an extension of PHP.
fn php(workshop: &Workshop) {
    let manifest = r#"{"repositories":[{"packagist.org":false},{"type":"path","url":"lib","options":{"symlink":true}}],"require":{"a/hello":"1.0.0"}}"#;
    let package = r#"{"name":"a/hello","version":"1.0.0","autoload":{"psr-4":{"Hello\\":"src/"}}}"#;
    let class = "<?php\nnamespace Hello;\nclass Hello { static function two() { return mb_strlen('ää'); } }\n";
    let program = "<?php\nrequire __DIR__ . '/vendor/autoload.php';\necho Hello\\Hello::two(), \"\\n\";\n";
    write(
        workshop,
        &[
            ("packages/app/composer.json", manifest),
            ("packages/app/lib/composer.json", package),
            ("packages/app/lib/src/Hello.php", class),
            ("packages/app/app.php", program),
        ],
    );
    workshop.prepare(&[&["sh", "-c", "cd packages/app && COMPOSER_ALLOW_SUPERUSER=1 composer install -n -q"]]);
    passes(workshop, "packages", ["/usr/bin/php8.2", "app.php"], "2");
}
