//! What a person reads on a page: its words, line by line, with [buttons and links] and fields to fill in.

use gateway_tests::peer::form::unescape;

/// The lines of a page. What is folded away is not shown.
pub fn lines(html: &str) -> Vec<String> {
    let mut text = String::new();
    let mut rest = body(html);
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(&before.replace('\n', " "));
        let Some((tag, after)) = tag.split_once('>') else { break };
        text.push_str(&mark(tag));
        rest = match tag {
            "details" => after.split_once("</details>").map_or("", |(_, after)| after),
            _ => after,
        };
    }
    text.push_str(&rest.replace('\n', " "));
    let lines = text.lines().map(|line| decode(&line.split_whitespace().collect::<Vec<_>>().join(" ")));
    lines.filter(|line| !line.is_empty()).collect()
}

/// Pages of the gateway have a main part; those of the provider begin with their title.
fn body(html: &str) -> &str {
    match html.split_once("<main>") {
        Some((_, main)) => main.split("</main>").next().unwrap_or(main),
        None => html,
    }
}

/// What stands for a tag.
fn mark(tag: &str) -> String {
    let name = tag.split_whitespace().next().unwrap_or_default();
    match name {
        "a" | "button" => " [".to_owned(),
        "/a" | "/button" => "] ".to_owned(),
        "input" => format!(" {}: ____ ", attribute(tag, "name").unwrap_or("?")),
        "h1" | "/h1" | "h2" | "/h2" | "p" | "/p" | "li" | "/li" | "form" | "/title" => "\n".to_owned(),
        "span" => ", ".to_owned(),
        _ => String::new(),
    }
}

fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    value.split('"').next()
}

fn decode(text: &str) -> String {
    unescape(&text.replace(" ]", "]").replace("[ ", "[").replace(" ,", ","))
}

/// An address as a transcript shows it: the names of what it carries, without the values, which are long and secret.
pub fn address(url: &str) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let names: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    let path: Vec<&str> = path.split('/').map(|part| if part.len() > 20 { "…" } else { part }).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
    let whole = path.join("/") + &query;
    if whole.chars().count() <= LONGEST { whole } else { whole.chars().take(LONGEST - 1).collect::<String>() + "…" }
}

/// Longest address that is shown.
const LONGEST: usize = 100;

#[cfg(test)]
mod tests {
    use super::{address, lines};

    #[test]
    fn a_page_becomes_what_is_read_on_it() {
        let page = "<title>x</title><main>\n<h1>Sign in</h1><ul><li><a class=\"button\" href=\"/x\">Sign in with\nA &amp; \
                    B</a></li></ul><details><summary>more</summary>hidden</details><p>As <strong>carol</strong> by\ncorp\
                    </p></main>";
        assert_eq!(lines(page), ["Sign in", "[Sign in with A & B]", "As carol by corp"]);
        let form = "<title>Login</title><form><input name=\"login\" value=\"\"><button type=\"submit\">Log in</button>";
        assert_eq!(lines(form), ["Login", "login: ____ [Log in]"]);
    }

    #[test]
    fn addresses_are_shown_without_what_they_carry() {
        assert_eq!(address("https://h/cb?code=c&state=s"), "https://h/cb?code&state");
        assert_eq!(address("https://h/"), "https://h/");
        assert!(!address(&format!("https://h/interaction/{}", "x".repeat(43))).contains('x'));
        assert_eq!(address(&format!("https://h/?{}", "ä&".repeat(200))).chars().count(), 100);
    }
}
