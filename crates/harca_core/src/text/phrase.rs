//! What a query has in quotation marks.

/// Straight and curved double marks, as keyboards and editors put them, and the wide one of Japanese keyboards; each of them
/// opens and closes.
const MARKS: [char; 5] = ['"', '“', '”', '„', '＂'];

/// The pieces of `text` between two marks that are more than white space; one behind a mark that nothing closes is none.
///
/// Japanese corner brackets are no such marks: they set off titles and quotations in any sentence.
pub fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let pairs = text.matches(MARKS).count() / 2;
    text.split(MARKS).skip(1).step_by(2).take(pairs).filter(|piece| !piece.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_between_marks() {
        for (text, expected) in [
            ("no marks", &[][..]),
            ("the \"harbour plan\" of “北の港” and „so on“", &["harbour plan", "北の港", "so on"]),
            ("one that is \"never closed", &[]),
            ("\"a\"b\"c\"", &["a", "c"]),
            ("\"\" \" \" \"x\"", &["x"]),
            ("3\" and 5\" pipes", &[" and 5"]),
            ("「走れメロス」の作者", &[]),
            ("＂全文検索＂の設定", &["全文検索"]),
            ("\"", &[]),
        ] {
            assert_eq!(quoted(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_piece_holds_no_mark(text in "[\"“”„＂a 検]{0,20}") {
            prop_assert!(quoted(&text).all(|piece| !piece.contains(MARKS) && !piece.trim().is_empty()));
            prop_assert!(quoted(&text).count() * 2 <= text.matches(MARKS).count());
        }
    }
}
