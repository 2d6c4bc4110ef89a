//! How hard the processors of the machine are pressed.

/// Share of the last ten seconds in which some task waited for a processor, from the kernel's pressure stall information
/// (Documentation/accounting/psi.rst); where there is none, from the tasks that are ready beyond the number of processors.
#[must_use]
pub fn waiting() -> Option<f64> {
    let pressure = std::fs::read_to_string("/proc/pressure/cpu").ok().and_then(|text| from_pressure(&text));
    pressure.or_else(|| {
        let processors = std::thread::available_parallelism().ok()?.get();
        from_load(&std::fs::read_to_string("/proc/loadavg").ok()?, processors)
    })
}

fn from_pressure(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let share = line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
    Some(share.parse::<f64>().ok()? / 100.0)
}

fn from_load(text: &str, processors: usize) -> Option<f64> {
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(((load - processors as f64) / processors as f64).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sources_are_read() {
        let pressure =
            "some avg10=12.50 avg60=1.00 avg300=0.00 total=99\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(from_pressure(pressure), Some(0.125));
        assert_eq!(from_pressure("full avg10=1.00\n"), None);
        assert_eq!(from_load("3.00 1.00 0.50 2/100 4242\n", 2), Some(0.5));
        assert_eq!(from_load("0.30 1.00 0.50 2/100 4242\n", 2), Some(0.0));
        assert_eq!(from_load("9.00 1.00 0.50 2/100 4242\n", 2), Some(1.0));
        assert_eq!(from_load("", 2), None);
    }
}
