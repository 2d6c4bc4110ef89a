//! Numbers as JSON writes them, exactly: those of jsonb may have more digits, or be larger, than any type of the machine.

use std::cmp::Ordering;

/// Exponents beyond this are as good as it; it leaves room to add to them.
const MOST_EXPONENT: i64 = i64::MAX / 4;

/// `0.digits · 10^point`, or its negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal<'a> {
    text: &'a str,
    negative: bool,
    /// ASCII, without zeros at either end: none for 0.
    digits: Vec<u8>,
    point: i64,
}

impl<'a> Decimal<'a> {
    /// The number that a text is, which has to be one of JSON; of other texts, some number.
    pub(super) fn new(text: &'a str) -> Self {
        let (sign, unsigned) = text.strip_prefix('-').map_or((false, text), |unsigned| (true, unsigned));
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let farthest = if exponent.starts_with('-') { -MOST_EXPONENT } else { MOST_EXPONENT };
        let exponent = exponent.parse().unwrap_or(farthest).clamp(-MOST_EXPONENT, MOST_EXPONENT);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let written = whole.bytes().chain(fraction.bytes());
        let zeros = written.clone().take_while(|digit| *digit == b'0').count();
        let mut digits: Vec<u8> = written.skip(zeros).collect();
        digits.truncate(digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1));
        if digits.is_empty() {
            return Self { text, negative: false, digits, point: 0 };
        }
        Self { text, negative: sign, digits, point: whole.len() as i64 - zeros as i64 + exponent }
    }

    /// It as it is written.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Whether it is between two others, or one of them.
    pub(super) fn within(&self, least: &Decimal<'_>, most: &Decimal<'_>) -> bool {
        self.compare(least).is_ge() && self.compare(most).is_le()
    }

    /// Whether it has no fraction, however it is written.
    pub(super) fn is_whole(&self) -> bool {
        self.digits.len() as i64 <= self.point.max(0)
    }

    /// The nearest that a double precision can be: 0 where it is nearly 0, infinite where it is too large.
    pub(super) fn double(&self) -> f64 {
        // The text of a number without digits may be "-0".
        if self.digits.is_empty() { 0.0 } else { self.text.parse().unwrap_or(0.0) }
    }

    fn compare(&self, other: &Decimal<'_>) -> Ordering {
        let sign = |number: &Decimal<'_>| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, negative) => {
                if negative {
                    -1
                } else {
                    1
                }
            }
        };
        let magnitude = self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        sign(self).cmp(&sign(other)).then(if self.negative { magnitude.reverse() } else { magnitude })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_are_exact() {
        let within = |text, least, most| Decimal::new(text).within(&Decimal::new(least), &Decimal::new(most));
        for text in [
            "0",
            "-0",
            "-0.0",
            "0e99999999999999999999",
            "1",
            "1.0",
            "1e0",
            "10e-1",
            "0.5",
            "1e-400",
            "1E-99999999999999999999",
        ] {
            assert!(within(text, "0", "1"), "{text}");
        }
        let long = format!("1.{}1", "0".repeat(200));
        for text in ["-1e-400", "-1", "1.1", "1e400", "2", "1e99999999999999999999", "-1e99999999999999999999", &long] {
            assert!(!within(text, "0", "1"), "{text}");
        }
        assert!(!within("0.00000000099999999999999999999999", "1e-9", "1e15"));
        assert!(within("0.000000001", "1e-9", "1e15") && within("1000000000000000.000", "1e-9", "1e15"));
        assert!(within("-2", "-3", "-1") && !within("-4", "-3", "-1") && !within("-0.5", "-3", "-1"));
    }

    #[test]
    fn a_whole_number_may_be_written_in_any_way() {
        for text in ["0", "-0.0", "10.0", "1e2", "1.5e1", "100e-2", "-7", "1e400"] {
            assert!(Decimal::new(text).is_whole(), "{text}");
        }
        for text in ["0.5", "1e-1", "10.01", "1.55e1", "1e-400", "-7.5"] {
            assert!(!Decimal::new(text).is_whole(), "{text}");
        }
    }

    #[test]
    fn as_a_double_it_is_the_nearest() {
        for (text, double) in
            [("0.1", 0.1), ("-0", 0.0), ("1e400", f64::INFINITY), ("-1e400", f64::NEG_INFINITY), ("1e-400", 0.0)]
        {
            assert_eq!(Decimal::new(text).double().to_bits(), double.to_bits(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_compares_as_numbers_do(a in -1000i64..1000, b in -1000i64..1000, zeros in 0usize..4) {
            let texts = [a.to_string(), format!("{b}{}e-{zeros}", "0".repeat(zeros))];
            prop_assert_eq!(Decimal::new(&texts[0]).compare(&Decimal::new(&texts[1])), a.cmp(&b), "{:?}", texts);
        }

        #[test]
        fn fractions_compare_as_numbers_do(a in any::<f32>(), b in any::<f32>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            let texts = [format!("{a:e}"), format!("{b}")];
            let compared = Decimal::new(&texts[0]).compare(&Decimal::new(&texts[1]));
            prop_assert_eq!(Some(compared), a.partial_cmp(&b), "{:?}", texts);
        }

        #[test]
        fn no_text_is_too_much(text in "\\PC{0,20}") {
            let number = Decimal::new(&text);
            let _ = (number.is_whole(), number.double(), number.within(&number, &number));
        }
    }
}
