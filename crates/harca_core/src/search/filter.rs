//! The filter of a search, a JSON object of columns and values, as an SQL condition that has the columns alone: values stay
//! in the filter, which is a parameter of the statement.

use crate::search::json::Value;
use crate::search::refusal::Refusal;
use crate::search::sql_text::{quote_ident, quote_literal};

/// What a condition needs to know of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name of its type in the schema pg_catalog, without quotation marks, as `pg_type` has it: `int4`, `_text`. For a
    /// domain it is the type that it is made of, as constraints are for what is stored. Read if `built_in`.
    pub type_name: String,
    /// Whether that type is of the schema pg_catalog and has an order, or its elements have.
    ///
    /// The operators and casts of another type may be functions of whoever owns it, and would run with the rights of
    /// whoever searches: its text form is compared, which its output function makes. So is that of json, point and the
    /// like, which have no order and often no equality.
    pub built_in: bool,
    /// Whether it is an array.
    pub is_array: bool,
}

/// The condition of a filter, each part of it behind an ` AND `, to follow another condition in a WHERE clause: empty for
/// `None` and for an object without columns. In it `$parameter` is the filter itself as jsonb, and `alias` the table, by the
/// name that it has in the statement; all but the names of columns, quoted, is qualified with pg_catalog. The order of the
/// parts is that of jsonb, so that filters of one form give one condition.
///
/// The text is as jsonb prints it: any other is read as well, and what is no JSON is no object. `table` is the table's name
/// for people. `column` finds a column by its name, all of it: a key longer than a name is no column.
///
/// # Errors
/// For what is no object, for a key that is no column, and for a comparison that the column or its value cannot have. That
/// a value is none of the column's type is PostgreSQL's to say, when the statement runs.
pub fn condition(
    filter: Option<&str>,
    parameter: usize,
    alias: &str,
    table: &str,
    mut column: impl FnMut(&str) -> Option<Column>,
) -> Result<String, Refusal> {
    let mut condition = String::new();
    let Some(filter) = filter else { return Ok(condition) };
    let filter = Value::parse(filter);
    let Some(fields) = filter.and_then(Value::members) else {
        let refusal = Refusal::invalid("filter must be a JSON object");
        let refusal = match filter {
            Some(filter) => refusal.detail(format!("It is of the type {}.", filter.type_name())),
            None => refusal,
        };
        return Err(refusal.hint("Write {\"column\": value} or {\"column\": {\"gte\": value}}."));
    };
    for (field, wanted) in &fields {
        let field = field.0.as_str();
        let column = column(field).ok_or_else(|| Refusal::no_column(field, table, "the filter"))?;
        let name = format!("{}.{}", quote_ident(alias), quote_ident(field));
        let place = format!("${parameter} OPERATOR(pg_catalog.->) {}::pg_catalog.text", quote_literal(field));
        let comparisons = wanted.members();
        let written: Vec<(&str, Value<'_>, String)> = match &comparisons {
            Some(comparisons) => comparisons
                .iter()
                .map(|(comparison, operand)| {
                    let inner = quote_literal(&comparison.0);
                    (
                        comparison.0.as_str(),
                        *operand,
                        format!("{place} OPERATOR(pg_catalog.->) {inner}::pg_catalog.text"),
                    )
                })
                .collect(),
            None => vec![(if wanted.type_name() == "array" { "in" } else { "eq" }, *wanted, place)],
        };
        for (comparison, operand, place) in written {
            let part = compare(&column, &name, comparison, operand, &place).ok_or_else(|| {
                Refusal::invalid(format!("filter on column \"{field}\" is not understood"))
                    .detail(format!("It has \"{comparison}\" with a value of the type {}.", operand.type_name()))
                    .hint(
                        "Use eq or ne with one value, or in with an array; lt, lte, gt and gte with one value, on columns \
                         of PostgreSQL's own types that have an order.",
                    )
            })?;
            condition.push_str(" AND ");
            condition.push_str(&part);
        }
    }
    Ok(condition)
}

/// One comparison of the column `name` with what stands at `place`; none if the column or the operand cannot have it.
fn compare(column: &Column, name: &str, comparison: &str, operand: Value<'_>, place: &str) -> Option<String> {
    let (compared, type_name) = if column.built_in {
        (name.to_owned(), format!("pg_catalog.{}", quote_ident(&column.type_name)))
    } else {
        (format!("pg_catalog.format('%s', {name})"), "pg_catalog.text".to_owned())
    };
    let is_array = operand.type_name() == "array";
    if comparison == "in" {
        // By its table: a column of the table that is searched may have any name, and v alone would be that one.
        let elements = format!("SELECT e.v::{type_name} FROM pg_catalog.jsonb_array_elements_text({place}) AS e (v)");
        return is_array.then(|| {
            // No array of arrays, which would be compared by the elements of the elements.
            let any = if column.is_array { elements } else { format!("ARRAY({elements})") };
            format!("{compared} OPERATOR(pg_catalog.=) ANY ({any})")
        });
    }
    let operator = match comparison {
        "eq" => "=",
        "ne" => "<>",
        "lt" if column.built_in => "<",
        "lte" if column.built_in => "<=",
        "gt" if column.built_in => ">",
        "gte" if column.built_in => ">=",
        _ => return None,
    };
    match (operator, operand.type_name()) {
        (_, "array") => None,
        ("=", "null") => Some(format!("{name} IS NULL")),
        ("<>", "null") => Some(format!("{name} IS NOT NULL")),
        _ => Some(format!(
            "{compared} OPERATOR(pg_catalog.{operator}) \
             (({place}) OPERATOR(pg_catalog.#>>) '{{}}'::pg_catalog.text[])::{type_name}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::json::tests::texts;
    use crate::search::refusal::Kind;
    use crate::search::sql_text::tests::{Token, tokens};

    fn column(name: &str) -> Option<Column> {
        let (type_name, built_in, is_array) = match name {
            "lang" | "it's \"a\\" => ("text", true, false),
            "size" => ("int4", true, false),
            "tags" => ("_text", true, true),
            "flag" => ("char", true, false),
            "mood" => ("mood", false, false),
            "moods" => ("_mood", false, true),
            _ => return None,
        };
        Some(Column { type_name: type_name.into(), built_in, is_array })
    }

    fn sql(filter: &str) -> String {
        condition(Some(filter), 3, "t", "public.note", column).unwrap()
    }

    fn refusal(filter: &str) -> Refusal {
        condition(Some(filter), 3, "t", "public.note", column).unwrap_err()
    }

    #[test]
    fn no_filter_is_no_condition() {
        assert_eq!(condition(None, 3, "t", "public.note", column), Ok(String::new()));
        assert_eq!(sql("{}"), "");
        assert_eq!(sql("{\"lang\": {}}"), "");
    }

    #[test]
    fn each_comparison() {
        let value = "$3 OPERATOR(pg_catalog.->) 'size'::pg_catalog.text";
        for (filter, place) in
            [("5", value.to_owned()), ("{\"eq\": 5}", format!("{value} OPERATOR(pg_catalog.->) 'eq'::pg_catalog.text"))]
        {
            let expected = format!(
                " AND \"t\".\"size\" OPERATOR(pg_catalog.=) \
                 (({place}) OPERATOR(pg_catalog.#>>) '{{}}'::pg_catalog.text[])::pg_catalog.\"int4\""
            );
            assert_eq!(sql(&format!("{{\"size\": {filter}}}")), expected);
        }
        for (comparison, operator) in
            [("eq", "="), ("ne", "<>"), ("lt", "<"), ("lte", "<="), ("gt", ">"), ("gte", ">=")]
        {
            for value in ["5", "\"x\"", "true", "{\"a\": [1]}"] {
                let found = sql(&format!("{{\"size\": {{\"{comparison}\": {value}}}}}"));
                assert!(
                    found.starts_with(&format!(" AND \"t\".\"size\" OPERATOR(pg_catalog.{operator}) (($3 ")),
                    "{found}"
                );
            }
        }
        for (filter, null) in [
            ("{\"size\": null}", "IS NULL"),
            ("{\"size\": {\"eq\": null}}", "IS NULL"),
            ("{\"size\": {\"ne\": null}}", "IS NOT NULL"),
        ] {
            assert_eq!(sql(filter), format!(" AND \"t\".\"size\" {null}"));
        }
        // Null is neither more nor less than anything.
        assert!(sql("{\"size\": {\"lt\": null}}").contains("OPERATOR(pg_catalog.<)"));
    }

    #[test]
    fn one_of_several() {
        let elements = |place, name| {
            format!(
                "SELECT e.v::pg_catalog.{name} FROM \
                 pg_catalog.jsonb_array_elements_text($3 OPERATOR(pg_catalog.->) {place}) AS e (v)"
            )
        };
        let size = elements("'size'::pg_catalog.text", "\"int4\"");
        assert_eq!(
            sql("{\"size\": [1, 2]}"),
            format!(" AND \"t\".\"size\" OPERATOR(pg_catalog.=) ANY (ARRAY({size}))")
        );
        let size = elements("'size'::pg_catalog.text OPERATOR(pg_catalog.->) 'in'::pg_catalog.text", "\"int4\"");
        assert_eq!(
            sql("{\"size\": {\"in\": []}}"),
            format!(" AND \"t\".\"size\" OPERATOR(pg_catalog.=) ANY (ARRAY({size}))")
        );
        let tags = elements("'tags'::pg_catalog.text", "\"_text\"");
        assert_eq!(sql("{\"tags\": [\"{a}\"]}"), format!(" AND \"t\".\"tags\" OPERATOR(pg_catalog.=) ANY ({tags})"));
        let moods = elements("'moods'::pg_catalog.text", "text");
        let expected = format!(" AND pg_catalog.format('%s', \"t\".\"moods\") OPERATOR(pg_catalog.=) ANY ({moods})");
        assert_eq!(sql("{\"moods\": [\"{a}\"]}"), expected);
    }

    #[test]
    fn other_types_are_compared_by_their_text_form() {
        assert_eq!(
            sql("{\"mood\": \"calm\"}"),
            " AND pg_catalog.format('%s', \"t\".\"mood\") OPERATOR(pg_catalog.=) (($3 OPERATOR(pg_catalog.->) \
             'mood'::pg_catalog.text) OPERATOR(pg_catalog.#>>) '{}'::pg_catalog.text[])::pg_catalog.text"
        );
        assert_eq!(sql("{\"mood\": null}"), " AND \"t\".\"mood\" IS NULL");
    }

    #[test]
    fn names_are_quoted_and_parts_in_the_order_of_jsonb() {
        let found =
            sql("{\"size\": {\"lte\": 9, \"gt\": 3}, \"it's \\\"a\\\\\": 1, \"lang\": \"en\", \"flag\": \"a\"}");
        let names: Vec<Token> =
            tokens(&found).into_iter().filter(|token| matches!(token, Token::Name(name) if name != "t")).collect();
        let expected = ["flag", "char", "lang", "text", "size", "int4", "size", "int4", "it's \"a\\", "text"];
        assert_eq!(names, expected.map(|name| Token::Name(name.into())));
        assert!(found.contains("\"it's \"\"a\\\""));
        assert!(found.find("pg_catalog.>)").unwrap() < found.find("pg_catalog.<=)").unwrap());
        let alias = condition(Some("{\"size\": null}"), 12, "a\"b", "x", column).unwrap();
        assert_eq!(alias, " AND \"a\"\"b\".\"size\" IS NULL");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (filter, name) in
            [("[1]", "array"), ("7", "number"), ("null", "null"), ("\"a\"", "string"), ("true", "boolean")]
        {
            let expected = Refusal::invalid("filter must be a JSON object")
                .detail(format!("It is of the type {name}."))
                .hint("Write {\"column\": value} or {\"column\": {\"gte\": value}}.");
            assert_eq!(refusal(filter), expected);
        }
        assert_eq!(refusal("{").message, "filter must be a JSON object");
    }

    #[test]
    fn a_key_that_is_no_column_is_refused() {
        let expected = Refusal::new(Kind::UndefinedColumn, "column \"nowhere\" of table public.note does not exist")
            .detail("It was given as a key of the filter.");
        assert_eq!(refusal("{\"nowhere\": 1}"), expected);
        // The first in the order of jsonb, before an error of a later one.
        assert_eq!(
            refusal("{\"nowhere\": 1, \"zz\": 1, \"mood\": {\"lt\": 1}}").message,
            "column \"zz\" of table public.note does not exist"
        );
        assert_eq!(
            refusal("{\"nowhere\": 1, \"mood\": {\"lt\": 1}}").message,
            "filter on column \"mood\" is not understood"
        );
    }

    #[test]
    fn a_comparison_that_cannot_be_is_refused() {
        for (filter, field, has, name) in [
            ("{\"lang\": {\"like\": \"e%\"}}", "lang", "like", "string"),
            ("{\"lang\": {\"in\": \"en\"}}", "lang", "in", "string"),
            ("{\"lang\": {\"in\": null}}", "lang", "in", "null"),
            ("{\"lang\": {\"eq\": [1]}}", "lang", "eq", "array"),
            ("{\"lang\": {\"gte\": []}}", "lang", "gte", "array"),
            ("{\"mood\": {\"lt\": \"x\"}}", "mood", "lt", "string"),
            ("{\"mood\": {\"gte\": null}}", "mood", "gte", "null"),
            ("{\"lang\": {\"EQ\": 1}}", "lang", "EQ", "number"),
            ("{\"lang\": {\"zz\": 1, \"y\": {}}}", "lang", "y", "object"),
            ("{\"lang\": {\"eq\": true, \"a\\\"b\": true}}", "lang", "a\"b", "boolean"),
        ] {
            let expected = Refusal::invalid(format!("filter on column \"{field}\" is not understood"))
                .detail(format!("It has \"{has}\" with a value of the type {name}."))
                .hint(
                    "Use eq or ne with one value, or in with an array; lt, lte, gt and gte with one value, on columns of \
                     PostgreSQL's own types that have an order.",
                );
            assert_eq!(refusal(filter), expected);
        }
    }

    const WORDS: &[&str] = &["eq", "ne", "lt", "lte", "gt", "gte", "in", "lang", "size", "'; --", "\" OR \"", "\\'"];

    /// The words of SQL that a condition is made of.
    const SQL: &[&str] = &[
        "AND",
        "OPERATOR",
        "pg_catalog",
        "text",
        "format",
        "jsonb_array_elements_text",
        "ANY",
        "ARRAY",
        "SELECT",
        "FROM",
        "AS",
        "e",
        "v",
        "IS",
        "NOT",
        "NULL",
    ];

    proptest! {
        #[test]
        fn a_condition_is_made_of_our_words_and_quoted_names_alone(
            fields in prop::collection::btree_map("[\\PC'\"\\\\]{1,6}", texts(WORDS), 0..4),
            built_in: bool,
            is_array: bool,
        ) {
            let members: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}: {value}", serde_json::to_string(key).unwrap())).collect();
            let filter = format!("{{{}}}", members.join(", "));
            let type_name = "it's \"odd\"\\";
            let found = condition(Some(&filter), 7, "t", "x", |name| {
                assert!(fields.contains_key(name));
                Some(Column { type_name: type_name.into(), built_in, is_array })
            });
            for token in found.iter().flat_map(|sql| tokens(sql)) {
                match token {
                    Token::Word(word) => prop_assert!(SQL.contains(&word.as_str()), "{}", word),
                    Token::Name(name) => {
                        prop_assert!(name == "t" || name == type_name || fields.contains_key(&name), "{}", name);
                    }
                    Token::Text(text) => {
                        let ours = ["%s", "{}", "eq", "ne", "lt", "lte", "gt", "gte", "in"].contains(&text.as_str());
                        prop_assert!(ours || fields.contains_key(&text), "{}", text);
                    }
                    Token::Parameter(parameter) => prop_assert_eq!(parameter, "$7"),
                    Token::Mark(mark) => prop_assert!(".()->#=<>:[],".contains(mark), "{}", mark),
                }
            }
        }

        #[test]
        fn no_value_gets_into_a_condition(value in "[a-z]{3}'\"\\\\") {
            let text = serde_json::to_string(&format!("zq{value}")).unwrap();
            let comparisons = ["eq", "ne", "lt", "gte"].map(|comparison| format!("{{\"{comparison}\": {text}}}"));
            let any = [text.clone(), format!("[{text}]"), format!("{{\"in\": [{text}]}}")];
            for filter in comparisons.into_iter().chain(any) {
                let found = sql(&format!("{{\"size\": {filter}}}"));
                prop_assert!(!found.contains("zq"), "{}", found);
            }
        }

        #[test]
        fn any_json_is_a_condition_or_refused(json in texts(WORDS)) {
            let _ = condition(Some(&json), 1, "t", "x", column);
        }
    }
}
