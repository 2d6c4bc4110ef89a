//! Names and texts as parts of an SQL statement, so that they stay names and texts whatever they are.

/// A name as SQL, always in quotation marks: `na"me` becomes `"na""me"`.
///
/// The name is taken for one whole name, not for one with a schema. PostgreSQL has no names that are empty or hold NUL:
/// made of one, the statement is refused.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal, as PostgreSQL's own `quote_literal` writes it: `it's` becomes `'it''s'`.
///
/// One with a backslash becomes `E'a\\b'`, which is the same text whatever `standard_conforming_strings` is; so a literal
/// must not follow a word without a space.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A word of SQL, as PostgreSQL's scanner tells them apart.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Token {
        /// A keyword or a name without quotation marks.
        Word(String),
        /// The name that stands in quotation marks.
        Name(String),
        /// The text that a literal is.
        Text(String),
        /// `$1`.
        Parameter(String),
        /// A mark of punctuation or a part of an operator.
        Mark(char),
    }

    /// The words of a piece of SQL; fails where a literal or name does not end.
    pub fn tokens(sql: &str) -> Vec<Token> {
        let mut rest = sql;
        let mut tokens = Vec::new();
        while let Some(first) = rest.chars().next() {
            let escaped = rest.starts_with("E'");
            if first == '"' || first == '\'' || escaped {
                let quote = if first == '"' { '"' } else { '\'' };
                let (text, after) = quoted(&rest[1 + usize::from(escaped)..], quote, escaped);
                tokens.push(if first == '"' { Token::Name(text) } else { Token::Text(text) });
                rest = after;
            } else if first.is_alphanumeric() || first == '_' || first == '$' {
                let end = rest[first.len_utf8()..].find(|c: char| !c.is_alphanumeric() && c != '_');
                let (word, after) = rest.split_at(end.map_or(rest.len(), |end| end + first.len_utf8()));
                tokens.push(if first == '$' { Token::Parameter(word.into()) } else { Token::Word(word.into()) });
                rest = after;
            } else {
                if !first.is_whitespace() {
                    tokens.push(Token::Mark(first));
                }
                rest = &rest[first.len_utf8()..];
            }
        }
        tokens
    }

    /// What stands before the closing quote, and what stands behind it.
    fn quoted(sql: &str, quote: char, escaped: bool) -> (String, &str) {
        let mut text = String::new();
        let mut chars = sql.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                if chars.next_if(|(_, next)| *next == quote).is_none() {
                    return (text, &sql[at + 1..]);
                }
            } else if escaped && c == '\\' {
                assert_eq!(chars.next().map(|(_, next)| next), Some('\\'), "an escape that is none of ours");
            } else {
                assert!(quote == '"' || escaped || c != '\\', "a backslash in a plain literal");
            }
            text.push(c);
        }
        panic!("no end of {quote} in {sql}");
    }

    #[test]
    fn names_are_always_in_quotation_marks() {
        for (name, sql) in [
            ("id", "\"id\""),
            ("select", "\"select\""),
            ("Big", "\"Big\""),
            ("a\"b", "\"a\"\"b\""),
            ("\"", "\"\"\"\""),
            ("a.b", "\"a.b\""),
            ("it's\\", "\"it's\\\""),
            ("列", "\"列\""),
        ] {
            assert_eq!(quote_ident(name), sql);
        }
    }

    #[test]
    fn literals_are_those_of_quote_literal() {
        for (text, sql) in [
            ("", "''"),
            ("it's", "'it''s'"),
            ("''", "''''''"),
            ("a\\b", "E'a\\\\b'"),
            ("\\'", "E'\\\\'''"),
            ("$1 \" $$", "'$1 \" $$'"),
            ("港\n", "'港\n'"),
        ] {
            assert_eq!(quote_literal(text), sql);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_is_read_as_one_word(text in "[\\PC\n'\"\\\\$E]{0,20}") {
            prop_assert_eq!(tokens(&quote_ident(&text)), [Token::Name(text.clone())]);
            prop_assert_eq!(tokens(&quote_literal(&text)), [Token::Text(text)]);
        }
    }
}
