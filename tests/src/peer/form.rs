//! The forms of a page: what a browser would send when a person fills one in and presses a button. Only as much HTML
//! as the peers and the portal write; no scripts run.

use anyhow::{Context as _, Result};

/// A form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Where it goes, as the page says; empty: to the page itself.
    pub action: String,
    /// `get` or `post`.
    pub method: String,
    /// Its id, for buttons elsewhere.
    pub id: String,
    /// What it sends: names and values of the inputs, without its buttons.
    pub fields: Vec<(String, String)>,
    /// The buttons that send a value of their own.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// All forms of a page.
    pub fn all(html: &str) -> Vec<Self> {
        let mut forms: Vec<Self> = Vec::new();
        let mut is_open = false;
        for tag in tags(html) {
            match tag.name.as_str() {
                "form" => {
                    forms.push(Self::open(&tag));
                    is_open = true;
                }
                "/form" => is_open = false,
                "input" | "button" | "textarea" | "select" => {
                    let owner = match tag.get("form") {
                        Some(id) => forms.iter_mut().find(|form| form.id == id),
                        None if is_open => forms.last_mut(),
                        None => None,
                    };
                    if let Some(form) = owner {
                        form.add(&tag);
                    }
                }
                _ => {}
            }
        }
        forms
    }

    /// The first form that has a field or a button of this name.
    pub fn with(html: &str, field: &str) -> Result<Self> {
        let has = |form: &Self| form.fields.iter().chain(&form.buttons).any(|(name, _)| name == field);
        Self::all(html).into_iter().find(has).with_context(|| format!("no form with `{field}` in: {html}"))
    }

    /// The same with this value in a field, which a person has filled in.
    #[must_use]
    pub fn fill(mut self, field: &str, value: &str) -> Self {
        self.fields.retain(|(name, _)| name != field);
        self.fields.push((field.to_owned(), value.to_owned()));
        self
    }

    /// The same sent by a button of this name.
    #[must_use]
    pub fn press(self, button: &str) -> Self {
        let value = self.buttons.iter().find(|(name, _)| name == button).map(|(_, value)| value.clone());
        self.fill(button, &value.unwrap_or_default())
    }

    fn open(tag: &Tag) -> Self {
        Self {
            action: tag.get("action").unwrap_or_default(),
            method: tag.get("method").unwrap_or_else(|| "get".to_owned()).to_ascii_lowercase(),
            id: tag.get("id").unwrap_or_default(),
            ..Self::default()
        }
    }

    fn add(&mut self, tag: &Tag) {
        let Some(name) = tag.get("name").filter(|name| !name.is_empty()) else { return };
        let kind = tag.get("type").unwrap_or_default();
        let pair = (name, tag.get("value").unwrap_or_default());
        match (tag.name.as_str(), kind.as_str()) {
            ("button", _) | (_, "submit" | "image" | "button") => self.buttons.push(pair),
            (_, "checkbox" | "radio") if tag.get("checked").is_none() => {}
            _ => self.fields.push(pair),
        }
    }
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    }
}

fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        let name: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
        let (attributes, left) = attributes(after.get(name.len()..).unwrap_or_default());
        tags.push(Tag { name: name.to_ascii_lowercase(), attributes });
        rest = left;
    }
    tags
}

/// The attributes of a tag, and what follows it.
fn attributes(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() || rest.starts_with('<') {
            return (found, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (found, after);
        }
        let end = rest.find(|c: char| c.is_whitespace() || "=>/".contains(c)).unwrap_or(rest.len());
        // At least one character, whatever it is, so that this comes to an end.
        let end = if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end };
        let (name, after) = rest.split_at(end);
        let (value, after) = value(after);
        found.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
}

fn value(rest: &str) -> (String, &str) {
    let Some(rest) = rest.trim_start().strip_prefix('=') else { return (String::new(), rest) };
    let rest = rest.trim_start();
    for quote in ['"', '\''] {
        if let Some(quoted) = rest.strip_prefix(quote) {
            let (value, after) = quoted.split_once(quote).unwrap_or((quoted, ""));
            return (unescape(value), after);
        }
    }
    let (value, after) = rest.split_at(rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len()));
    (unescape(value), after)
}

/// What stands for a character in a page, after its `&`.
const ENTITIES: [(&str, char); 10] = [
    ("lt;", '<'),
    ("gt;", '>'),
    ("quot;", '"'),
    ("amp;", '&'),
    ("#34;", '"'),
    ("#38;", '&'),
    ("#39;", '\''),
    ("#x27;", '\''),
    ("#60;", '<'),
    ("#62;", '>'),
];

/// A text as it is read, from how it stands in a page.
pub fn unescape(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('&') {
        let known = ENTITIES.iter().find_map(|(entity, character)| Some((*character, after.strip_prefix(entity)?)));
        let (character, left) = known.unwrap_or(('&', after));
        plain.push_str(before);
        plain.push(character);
        rest = left;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::{Form, unescape};

    const PAGE: &str = r#"<p>a < b</p><form id=one action="/go?a=1&amp;b=2" method='POST'>
        <input type="hidden" name="csrf" value="x&quot;y"><input name=login><input type=checkbox name=no value=1>
        <input type="checkbox" name="yes" value="1" checked/><button name="abort" value="y">Cancel</button>
        </form><input name="outside"><button type="submit" form="one" name="logout" value="yes">Out</button>"#;

    #[test]
    fn a_form_sends_its_fields_and_none_of_its_buttons_unpressed() {
        let form = Form::with(PAGE, "login").expect("the form is there");
        assert_eq!((form.action.as_str(), form.method.as_str()), ("/go?a=1&b=2", "post"));
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(fields, [("csrf", "x\"y"), ("login", ""), ("yes", "1")]);
        let pressed = form.fill("login", "alice").press("logout");
        assert!(pressed.fields.contains(&("login".to_owned(), "alice".to_owned())));
        assert!(pressed.fields.contains(&("logout".to_owned(), "yes".to_owned())));
        assert!(!pressed.fields.iter().any(|(name, _)| name == "abort"));
    }

    #[test]
    fn what_stands_for_a_character_is_read_once() {
        assert_eq!(unescape("a &#38; b &amp; &#60;c&gt; &quot;d&#39;"), "a & b & <c> \"d'");
        assert_eq!(unescape("&amp;lt; &#38;amp; & &x;"), "&lt; &amp; & &x;");
    }

    #[test]
    fn a_page_that_is_cut_off_has_what_came() {
        assert_eq!(Form::all("<form action=x><input name='a' value='b").len(), 1);
        assert_eq!(Form::all("<form =>< ").len(), 1);
        assert!(Form::with("<p>", "login").is_err());
    }
}
