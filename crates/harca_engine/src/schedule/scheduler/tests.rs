use Priority::{Bulk, Interactive};

use super::*;

const SETTINGS: Settings = Settings { bound: 100, wait: 500, strategy: Strategy::Balanced, pressed: false, runs: 1 };

fn items(arrived: u64, lengths: &[u32]) -> Vec<Item<u64>> {
    lengths.iter().map(|&length| Item { arrived, length, work: arrived }).collect()
}

fn scheduler() -> Scheduler<char, u64> {
    Scheduler::new(SETTINGS)
}

fn ended(priority: Priority, rows: usize, tokens: u32, micros: u64) -> Ended<char> {
    Ended { model: if priority == Interactive { 'a' } else { 'b' }, priority, rows, tokens, micros }
}

/// What begins to run.
fn begun(scheduler: &mut Scheduler<char, u64>, now: u64) -> (char, Priority, usize) {
    match scheduler.next(now) {
        Turn::Run(batch) => (batch.model, batch.priority, batch.items.len()),
        other => panic!("{other:?}"),
    }
}

/// What has run by itself.
fn ran(scheduler: &mut Scheduler<char, u64>, now: u64) -> (char, Priority, usize) {
    let run = begun(scheduler, now);
    scheduler.over(run.0, run.1);
    run
}

#[test]
fn an_idle_engine_waits_for_nobody() {
    let mut scheduler = scheduler();
    assert_eq!(scheduler.next(0), Turn::Idle);
    scheduler.submit('a', Interactive, items(10, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, 10), ('a', Interactive, 1));
    assert_eq!(scheduler.next(11), Turn::Idle);
}

#[test]
fn a_short_text_that_is_alone_may_run_at_once() {
    let mut scheduler = scheduler();
    let alone = |scheduler: &mut Scheduler<char, u64>, now, tokens| {
        scheduler.submit('a', Interactive, items(now, &[tokens])).unwrap();
        let found = scheduler.next_alone('a', tokens, now, 1000).map(|batch| batch.items.len());
        if found.is_none() && !scheduler.is_running() {
            assert_eq!(ran(scheduler, now + SETTINGS.wait).2, 1);
        }
        found
    };
    // Nothing is known of its model.
    assert_eq!(alone(&mut scheduler, 0, 10), None);
    scheduler.finished(ended(Interactive, 1, 10, 500), 1000);
    assert_eq!(alone(&mut scheduler, 3000, 10), Some(1));
    // While it runs, nothing else is alone.
    assert_eq!(alone(&mut scheduler, 3100, 10), None);
    scheduler.finished(ended(Interactive, 1, 10, 500), 3500);
    assert_eq!(begun(&mut scheduler, 4000), ('a', Interactive, 1));
    scheduler.finished(ended(Interactive, 1, 10, 500), 4500);
    // A long one.
    assert_eq!(alone(&mut scheduler, 6000, 30), None);
    // One that others were answered with a moment ago.
    scheduler.submit('a', Interactive, items(7000, &[10, 10])).unwrap();
    assert_eq!(begun(&mut scheduler, 7000).2, 2);
    scheduler.finished(ended(Interactive, 2, 20, 1000), 8000);
    assert_eq!(alone(&mut scheduler, 8100, 10), None);
    // Bulk work is left to the runners, and so is whatever has company.
    scheduler.submit('a', Bulk, items(9000, &[10])).unwrap();
    assert_eq!(scheduler.next_alone('a', 10, 9000, 1000), None);
    scheduler.submit('a', Interactive, items(9000, &[10])).unwrap();
    assert_eq!(scheduler.next_alone('a', 10, 9000, 1000), None);
}

#[test]
fn those_who_asked_together_are_waited_for() {
    let mut scheduler = scheduler();
    scheduler.submit('a', Interactive, items(0, &[5, 5])).unwrap();
    assert_eq!(ran(&mut scheduler, 0).2, 2);
    scheduler.submit('a', Interactive, items(900, &[5])).unwrap();
    scheduler.finished(ended(Interactive, 2, 10, 1000), 1000);
    assert_eq!(scheduler.next(1000), Turn::Wait(1500));
    scheduler.submit('a', Interactive, items(1200, &[6])).unwrap();
    assert_eq!(scheduler.next(1200), Turn::Wait(1500));
    scheduler.submit('a', Interactive, items(1300, &[6])).unwrap();
    assert_eq!(ran(&mut scheduler, 1300), ('a', Interactive, 3));
    // One of them does not come again.
    scheduler.finished(ended(Interactive, 3, 18, 1000), 2300);
    scheduler.submit('a', Interactive, items(2400, &[5, 5])).unwrap();
    assert_eq!(scheduler.next(2400), Turn::Wait(2800));
    assert_eq!(ran(&mut scheduler, 2800).2, 2);
    scheduler.finished(ended(Interactive, 2, 10, 1000), 3800);
    scheduler.submit('a', Interactive, items(3900, &[5, 5])).unwrap();
    assert_eq!(ran(&mut scheduler, 3900).2, 2);
    // Enough for a run: no more is waited for.
    scheduler.finished(ended(Interactive, 200, 400, 1000), 5000);
    scheduler.submit('a', Interactive, items(5000, &[512; 3])).unwrap();
    assert_eq!(ran(&mut scheduler, 5000).2, 2);
}

#[test]
fn who_is_alone_or_late_waits_for_nobody() {
    let mut scheduler = scheduler();
    scheduler.submit('a', Interactive, items(0, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, 0).2, 1);
    scheduler.finished(ended(Interactive, 1, 5, 1000), 1000);
    scheduler.submit('a', Interactive, items(1100, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, 1100).2, 1);
    scheduler.finished(ended(Interactive, 4, 20, 1000), 2100);
    scheduler.submit('a', Interactive, items(2600, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, 2600).2, 1);
}

#[test]
fn bulk_comes_last_but_comes() {
    let mut scheduler = scheduler();
    scheduler.submit('b', Bulk, items(0, &[5; 4])).unwrap();
    scheduler.submit('a', Interactive, items(10, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, 20), ('a', Interactive, 1));
    scheduler.submit('a', Interactive, items(30, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, 40).1, Interactive);
    let late = LEAST_PATIENCE + 1;
    scheduler.submit('a', Interactive, items(50, &[5])).unwrap();
    scheduler.submit('b', Bulk, items(50, &[5000])).unwrap();
    assert_eq!(ran(&mut scheduler, late), ('b', Bulk, 4));
    // Not twice in a row while somebody waits.
    assert_eq!(ran(&mut scheduler, late).1, Interactive);
    assert_eq!(ran(&mut scheduler, late + 1).1, Bulk);
}

#[test]
fn slow_bulk_runs_come_seldom() {
    let mut scheduler = scheduler();
    scheduler.finished(ended(Bulk, 1, 100, 50_000), 0);
    scheduler.submit('b', Bulk, items(0, &[5])).unwrap();
    scheduler.queues.get_mut(&'b').unwrap().bulk_run = 50_000;
    scheduler.last = Interactive;
    scheduler.submit('a', Interactive, items(0, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, PATIENCE * 50_000 - 1).1, Interactive);
    scheduler.submit('a', Interactive, items(0, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, PATIENCE * 50_000).1, Bulk);
}

#[test]
fn bulk_runs_are_short_while_somebody_asks() {
    let mut scheduler = scheduler();
    scheduler.submit('b', Bulk, items(0, &[10; 90])).unwrap();
    for tokens in [200, 1000, 600] {
        scheduler.finished(ended(Bulk, 20, tokens, 100 * u64::from(tokens)), 1);
    }
    scheduler.submit('a', Interactive, items(2, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, 2).1, Interactive);
    assert_eq!(ran(&mut scheduler, 3), ('b', Bulk, 20));
    assert_eq!(ran(&mut scheduler, 2 + LATELY), ('b', Bulk, 60));
}

#[test]
fn what_waits_is_shared_between_runs() {
    let mut scheduler = scheduler();
    scheduler.set(Settings { runs: 2, ..SETTINGS });
    scheduler.submit('a', Interactive, items(0, &[5; 3])).unwrap();
    assert_eq!(begun(&mut scheduler, 0).2, 2);
    assert_eq!(begun(&mut scheduler, 0).2, 1);
    scheduler.submit('a', Interactive, items(1, &[5; 2])).unwrap();
    assert_eq!(scheduler.next(1), Turn::Idle);
    scheduler.finished(ended(Interactive, 2, 10, 1000), 1000);
    assert_eq!(scheduler.next(1000), Turn::Wait(1500));
    scheduler.finished(ended(Interactive, 1, 10, 1000), 1100);
    scheduler.submit('a', Interactive, items(1200, &[5; 2])).unwrap();
    // Those that one run takes are no longer waited for by the other.
    assert_eq!(begun(&mut scheduler, 1200).2, 2);
    assert_eq!(begun(&mut scheduler, 1200).2, 2);
    scheduler.over('a', Interactive);
    assert_eq!(scheduler.next(1200), Turn::Idle);
}

#[test]
fn bulk_work_leaves_room_while_somebody_asks() {
    let mut scheduler = scheduler();
    scheduler.set(Settings { runs: 3, ..SETTINGS });
    scheduler.submit('a', Interactive, items(0, &[5])).unwrap();
    assert_eq!(begun(&mut scheduler, 0).1, Interactive);
    scheduler.submit('b', Bulk, items(0, &[5; 30])).unwrap();
    assert_eq!(begun(&mut scheduler, 1), ('b', Bulk, 30));
    scheduler.submit('b', Bulk, items(1, &[5; 30])).unwrap();
    assert_eq!(scheduler.next(2), Turn::Idle);
    assert_eq!(begun(&mut scheduler, LATELY).2, 30);
}

#[test]
fn a_model_that_runs_singly_is_left_together() {
    let mut scheduler = scheduler();
    scheduler.set(Settings { runs: 4, ..SETTINGS });
    scheduler.run_singly('a', true);
    scheduler.submit('a', Interactive, items(0, &[5; 4])).unwrap();
    assert_eq!(begun(&mut scheduler, 0).2, 4);
    scheduler.submit('a', Interactive, items(1, &[5; 4])).unwrap();
    assert_eq!(scheduler.next(1), Turn::Idle);
    scheduler.submit('b', Interactive, items(2, &[5])).unwrap();
    assert_eq!(begun(&mut scheduler, 2).0, 'b');
    scheduler.over('a', Interactive);
    scheduler.run_singly('a', false);
    assert_eq!(begun(&mut scheduler, 3), ('a', Interactive, 2));
}

#[test]
fn a_suspect_runs_alone() {
    let mut scheduler = scheduler();
    scheduler.set(Settings { runs: 3, ..SETTINGS });
    scheduler.suspect(['a']);
    scheduler.submit('b', Interactive, items(0, &[5; 3])).unwrap();
    assert_eq!(begun(&mut scheduler, 0), ('b', Interactive, 1));
    scheduler.submit('a', Interactive, items(0, &[5; 2])).unwrap();
    // It is its turn: nobody else begins before it.
    assert_eq!(scheduler.next(1), Turn::Idle);
    scheduler.over('b', Interactive);
    assert_eq!(begun(&mut scheduler, 2), ('a', Interactive, 2));
    assert_eq!(scheduler.next(2), Turn::Idle);
    scheduler.suspect([]);
    assert_eq!(begun(&mut scheduler, 3), ('b', Interactive, 1));
}

#[test]
fn what_has_failed_in_company_runs_once_more_alone() {
    let mut scheduler = scheduler();
    scheduler.set(Settings { runs: 3, ..SETTINGS });
    scheduler.submit('a', Interactive, items(0, &[5; 2])).unwrap();
    let Turn::Run(failed) = scheduler.next(0) else { panic!() };
    assert_eq!(begun(&mut scheduler, 0), ('a', Interactive, 1));
    scheduler.submit('b', Interactive, items(1, &[5; 2])).unwrap();
    assert!(scheduler.failed('a', Interactive));
    scheduler.give_back('a', Interactive, failed.items);
    assert_eq!((scheduler.queued(), scheduler.next(2)), (3, Turn::Idle));
    scheduler.failed('a', Interactive);
    scheduler.give_back('a', Interactive, items(0, &[5]));
    let Turn::Run(again) = scheduler.next(3) else { panic!() };
    assert_eq!((again.model, again.items.len()), ('a', 2));
    assert_eq!(scheduler.next(3), Turn::Idle);
    assert!(!scheduler.failed('a', Interactive));
    scheduler.over('a', Interactive);
    assert_eq!(begun(&mut scheduler, 4), ('b', Interactive, 1));
    assert_eq!(begun(&mut scheduler, 4), ('b', Interactive, 1));
}

#[test]
fn the_oldest_model_is_first() {
    let mut scheduler = scheduler();
    scheduler.submit('b', Interactive, items(5, &[5])).unwrap();
    scheduler.submit('a', Interactive, items(6, &[5])).unwrap();
    assert_eq!(ran(&mut scheduler, 10).0, 'b');
    assert_eq!(ran(&mut scheduler, 10).0, 'a');
}

#[test]
fn the_queue_is_bounded() {
    let mut scheduler = scheduler();
    scheduler.submit('a', Bulk, items(0, &[1; 60])).unwrap();
    assert_eq!(scheduler.submit('b', Interactive, items(1, &[1; 41])).unwrap_err().len(), 41);
    scheduler.submit('b', Interactive, items(1, &[1; 40])).unwrap();
    assert_eq!((scheduler.queued(), scheduler.queued_for('b', Interactive)), (100, 40));
    assert_eq!(scheduler.remove(|&work| work == 0), 60);
    assert_eq!(scheduler.queued(), 40);
    scheduler.remove(|_| true);
    scheduler.submit('a', Bulk, items(0, &[1; 500])).unwrap();
    assert_eq!(scheduler.queued(), 500);
}

#[test]
fn a_pressed_machine_gets_smaller_runs() {
    let mut scheduler = scheduler();
    scheduler.submit('a', Bulk, items(0, &[1; 4])).unwrap();
    let Turn::Run(batch) = scheduler.next(0) else { panic!() };
    assert_eq!(batch.padded(), 4);
    scheduler.over(batch.model, batch.priority);
    for tokens in [200, 1000, 600] {
        scheduler.finished(ended(Interactive, 4, tokens, 100 * u64::from(tokens)), 1);
    }
    assert_eq!(scheduler.tokens('a'), 600);
    scheduler.set(Settings { pressed: true, ..SETTINGS });
    assert_eq!(scheduler.tokens('a'), 300);
    scheduler.forget('a');
    assert_eq!(scheduler.tokens('a'), 0);
}
