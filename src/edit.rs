//! Changes to recipes: the text of one and what is to be added in, the text with it out. Comments, order and form stay.

use toml_edit::{Array, ArrayOfTables, Document, DocumentMut, InlineTable, Item, Key as TomlKey, Table, Value};

/// A line of a recipe is no longer than this when entries are added to it.
const LINE: usize = 100;

/// A key that entries are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Programs.
    Binaries,
    /// Libraries.
    Libraries,
    /// Files and folders.
    Files,
    /// Folders to make.
    Dirs,
    /// Folders of the image's user.
    Writable,
    /// Extras.
    Extras,
}

impl Key {
    /// The key as recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binaries => "binaries",
            Self::Libraries => "libraries",
            Self::Files => "files",
            Self::Dirs => "dirs",
            Self::Writable => "writable",
            Self::Extras => "extras",
        }
    }

    /// The entry's key in the table that stands for a string.
    fn inner(self) -> &'static str {
        match self {
            Self::Dirs => "path",
            _ => "from",
        }
    }
}

/// The order in which keys are written where one has to be made.
const ORDER: [&str; 9] = ["name", "root", "binaries", "libraries", "files", "dirs", "writable", "extras", "packages"];

/// One entry to add.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Addition {
    /// Under which key.
    pub key: Key,
    /// The entry.
    pub value: String,
    /// Where it goes, when the recipe has to say so.
    pub to: Option<String>,
}

impl Addition {
    /// An entry that is a string.
    pub fn new(key: Key, value: impl Into<String>) -> Self {
        Self { key, value: value.into(), to: None }
    }

    fn to_value(&self) -> Value {
        let Some(to) = &self.to else { return self.value.as_str().into() };
        let mut table = InlineTable::new();
        table.insert(self.key.inner(), self.value.as_str().into());
        table.insert("to", to.as_str().into());
        Value::InlineTable(table)
    }

    fn is(&self, value: &Value) -> bool {
        let from = |value: Option<&Value>| value.and_then(Value::as_str) == Some(&self.value);
        from(Some(value)) || value.as_inline_table().is_some_and(|table| from(table.get(self.key.inner())))
    }

    fn is_table(&self, table: &Table) -> bool {
        table.get(self.key.inner()).and_then(Item::as_str) == Some(&self.value)
    }
}

/// A recipe's text with entries added; those that it has already are passed over.
///
/// # Errors
/// When the text is no TOML, or a key that is added to is no list.
pub fn add(text: &str, additions: &[Addition]) -> Result<String, NoList> {
    let mut document: DocumentMut =
        Document::parse(text.to_owned()).map_err(|error| NoList(error.to_string()))?.into_mut();
    for addition in additions {
        add_one(&mut document, addition)?;
    }
    Ok(document.to_string())
}

/// Why nothing can be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoList(String);

fn add_one(document: &mut DocumentMut, addition: &Addition) -> Result<(), NoList> {
    let name = addition.key.name();
    match document.get_mut(name) {
        None => insert_key(document, addition),
        Some(Item::Value(Value::Array(array))) => push(array, addition, name.len()),
        Some(Item::ArrayOfTables(tables)) => push_table(tables, addition),
        Some(_) => return Err(NoList(format!("`{name}` is no list"))),
    }
    Ok(())
}

/// Adds to a list in its own form: on one line while there is room, else an entry a line.
fn push(array: &mut Array, addition: &Addition, key_width: usize) {
    if array.iter().any(|value| addition.is(value)) {
        return;
    }
    let prefix = |value: &Value| value.decor().prefix().and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let broken = array.iter().map(prefix).find(|prefix| prefix.contains('\n'));
    let mut value = addition.to_value();
    if let Some(prefix) = broken {
        // What stands before the closing bracket may begin with the comment of the last entry.
        let indent = prefix.rsplit('\n').next().unwrap_or("  ").to_owned();
        let trailing = array.trailing().as_str().unwrap_or_default().to_owned();
        let comment = trailing.trim_end();
        if array.trailing_comma() {
            value.decor_mut().set_prefix(format!("{comment}\n{indent}"));
        } else {
            let suffix = array.iter().last().and_then(|last| last.decor().suffix()).and_then(|raw| raw.as_str());
            let comment = suffix.unwrap_or_default().trim_end().to_owned() + comment;
            if let Some(last) = array.iter_mut().last() {
                last.decor_mut().set_suffix("");
            }
            value.decor_mut().set_prefix(format!("{comment}\n{indent}"));
        }
        array.push_formatted(value);
        array.set_trailing("\n");
        array.set_trailing_comma(true);
        return;
    }
    value.decor_mut().set_prefix(if array.is_empty() { "" } else { " " });
    if let Some(last) = array.iter_mut().last() {
        last.decor_mut().set_suffix("");
    }
    array.push_formatted(value);
    array.set_trailing("");
    array.set_trailing_comma(false);
    if key_width + array.to_string().trim().len() + " = ".len() > LINE {
        for value in array.iter_mut() {
            value.decor_mut().set_prefix("\n  ");
        }
        array.set_trailing("\n");
        array.set_trailing_comma(true);
    }
}

fn push_table(tables: &mut ArrayOfTables, addition: &Addition) {
    if tables.iter().any(|table| addition.is_table(table)) {
        return;
    }
    let mut table = Table::new();
    table.insert(addition.key.inner(), addition.value.as_str().into());
    if let Some(to) = &addition.to {
        table.insert("to", to.as_str().into());
    }
    tables.push(table);
}

/// Makes a key where a maintainer would look for it, with `=` below those of its neighbours.
fn insert_key(document: &mut DocumentMut, addition: &Addition) {
    let name = addition.key.name();
    let mut array = Array::new();
    push(&mut array, addition, name.len());
    let table = document.as_table_mut();

    let keys: Vec<String> = table.iter().filter(|(_, item)| item.is_value()).map(|(key, _)| key.to_owned()).collect();
    let before = keys.iter().rposition(|key| rank_of(key).is_some_and(|rank| Some(rank) < rank_of(name)));
    let width = before.and_then(|at| keys.get(at)).map_or(name.len() + 1, |key| width_of(table, key));
    let mut key = TomlKey::new(name);
    key.leaf_decor_mut().set_suffix(" ".repeat(width.saturating_sub(name.len()).max(1)));
    // A table keeps its keys in their order: those that follow are taken out and put in again behind the new one.
    let after: Vec<String> = keys.iter().skip(before.map_or(0, |at| at + 1)).cloned().collect();
    let moved: Vec<(TomlKey, Item)> = after.iter().filter_map(|key| table.remove_entry(key)).collect();
    table.insert_formatted(&key, Item::Value(Value::Array(array)));
    for (key, item) in moved {
        table.insert_formatted(&key, item);
    }
}

fn rank_of(key: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == key)
}

/// How far a key's `=` stands from its beginning.
fn width_of(table: &Table, key: &str) -> usize {
    let suffix = table.key(key).and_then(|key| key.leaf_decor().suffix()).and_then(|raw| raw.as_str());
    key.len() + suffix.map_or(1, str::len)
}
