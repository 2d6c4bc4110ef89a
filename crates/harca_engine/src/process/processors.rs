//! How hard the processors of the machine are pressed by others.

use std::fs::read_to_string;

/// How many this process may use.
#[must_use]
pub fn count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What was seen of the processors.
#[derive(Debug, Default)]
pub struct Processors {
    last: Option<Work>,
}

/// What was done since the machine, or this process, began; in ticks of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    own: u64,
    all: u64,
}

impl Processors {
    /// Share of the last ten seconds in which some task waited for a processor, from the kernel's pressure stall information
    /// (Documentation/accounting/psi.rst); where there is none, from the tasks that are ready beyond the number of processors.
    /// Nothing is told where most of the work since the last look was this process's own: then it is what tasks wait for.
    pub fn waiting(&mut self) -> Option<f64> {
        let work = Work::read();
        let last = std::mem::replace(&mut self.last, work);
        if let (Some(last), Some(work)) = (last, work)
            && work.is_own(last)
        {
            return None;
        }
        let pressure = read_to_string("/proc/pressure/cpu").ok().and_then(|text| from_pressure(&text));
        pressure.or_else(|| from_load(&read_to_string("/proc/loadavg").ok()?, count()))
    }
}

impl Work {
    fn read() -> Option<Self> {
        let own = own_ticks(&read_to_string("/proc/self/stat").ok()?)?;
        Some(Self { own, all: all_ticks(&read_to_string("/proc/stat").ok()?)? })
    }

    /// Whether more than half of what was done since then was this process's own.
    fn is_own(self, last: Self) -> bool {
        2 * self.own.saturating_sub(last.own) > self.all.saturating_sub(last.all)
    }
}

/// Time in user and kernel mode, of a line of /proc/pid/stat (proc_pid_stat(5), fields 14 and 15).
fn own_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    Some(ticks.next()? + ticks.next()?)
}

/// Time in which the processors were at work, of /proc/stat (proc_stat(5)): the first eight numbers but idle and iowait.
fn all_ticks(stat: &str) -> Option<u64> {
    let numbers = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = numbers.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let &[user, nice, system, _, _, ref rest @ ..] = ticks.as_slice() else { return None };
    Some(user + nice + system + rest.iter().sum::<u64>())
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

    #[test]
    fn own_work_is_told_from_that_of_others() {
        let own = "42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 70 30 0 0 20 0 9 0 5000 1 1";
        assert_eq!(own_ticks(own), Some(100));
        assert_eq!(own_ticks("42 (a"), None);
        let all = "cpu  100 20 30 4000 500 6 7 8 9 9\ncpu0 1 2 3 4\n";
        assert_eq!(all_ticks(all), Some(171));
        assert_eq!(all_ticks("cpu  1 2\n"), None);
        let last = Work { own: 100, all: 171 };
        assert!(Work { own: 151, all: 271 }.is_own(last));
        assert!(!Work { own: 150, all: 271 }.is_own(last));
        assert!(!last.is_own(last));
        assert!(Work::read().is_some());
    }
}
