//! From YAML to flat settings, each with its line.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::config::entries::{Entry, Value};
use crate::config::{ConfigError, Origin};

/// No configuration is longer than this, in bytes.
const LENGTH_MAX: u64 = 1 << 20;

/// Reads all settings of the file, flat or nested, in the file's order.
pub(super) fn read(path: &Arc<Path>) -> Result<Vec<Entry>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(LENGTH_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LENGTH_MAX {
        return Err(ConfigError::TooLong { path: path.to_path_buf(), limit: LENGTH_MAX });
    }
    parse(&text, path)
}

pub(super) fn parse(text: &str, path: &Arc<Path>) -> Result<Vec<Entry>, ConfigError> {
    let syntax = |line, reason: String| ConfigError::Syntax {
        path: path.to_path_buf(),
        line,
        reason: reason.into(),
    };
    let root = serde_saphyr::from_str::<Option<Node>>(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        syntax(line, error.without_snippet().to_string())
    })?;
    let mut settings = Vec::new();
    match root {
        None | Some(Node::Nothing) => {}
        Some(Node::Map(entries)) => flatten(entries, "", &Source { text, path }, &mut settings),
        Some(_) => return Err(syntax(1, "settings are written as \"key: value\"".to_owned())),
    }
    Ok(settings)
}

/// A value of the file. Numbers and switches are taken as they are written, not as YAML reads
/// them: it would make 10 of `010` and 0.1 of `0.10`.
enum Node {
    Text(String),
    Literal,
    Nothing,
    List,
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

struct Source<'a> {
    text: &'a str,
    path: &'a Arc<Path>,
}

fn flatten(
    map: Vec<(Spanned<String>, Spanned<Node>)>,
    prefix: &str,
    source: &Source<'_>,
    settings: &mut Vec<Entry>,
) {
    for (name, node) in map {
        let key = format!("{prefix}{}", name.value);
        let value = match node.value {
            // The depth is bounded by the parser.
            Node::Map(map) => {
                flatten(map, &format!("{key}."), source, settings);
                continue;
            }
            Node::Text(text) if text.trim().is_empty() => Value::Nothing,
            Node::Text(text) => Value::Text(text.into()),
            Node::Literal => Value::Text(source.literal(&node.defined).into()),
            Node::List => Value::List,
            Node::Nothing => Value::Nothing,
        };
        let origin = Origin::File { path: Arc::clone(source.path), line: name.referenced.line() };
        settings.push(Entry { key: key.into(), value, origin });
    }
}

impl Source<'_> {
    fn literal(&self, location: &serde_saphyr::Location) -> &str {
        let span = location.span();
        let range = span.byte_offset().zip(span.byte_len()).and_then(|(offset, length)| {
            let offset = usize::try_from(offset).ok()?;
            self.text.get(offset..offset.checked_add(usize::try_from(length).ok()?)?)
        });
        range.expect("the parser of a text gives spans within it").trim()
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Literal)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Node::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}
