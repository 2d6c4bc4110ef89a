//! Each rule on facts that call for it, and on facts next to these that do not.

use super::*;

fn facts(json: &str) -> Facts {
    serde_json::from_str(json).unwrap()
}

/// The rules that speak.
fn rules(facts: &Facts) -> Vec<&'static str> {
    advise(facts).iter().map(|one| one.rule).collect()
}

/// The one rule that speaks.
fn only(facts: &Facts) -> Advice {
    let mut advice = advise(facts);
    assert_eq!(advice.len(), 1, "{advice:#?}");
    advice.remove(0)
}

fn server(preloaded: &str, version: u32) -> Facts {
    let server =
        Server { version, preloaded: Some(preloaded.into()), sessions: 3, session_bytes: 3 << 20, work_mem: 4 << 20 };
    Facts { server: Some(server), ..Facts::default() }
}

/// A target of 100,000 rows with all that it needs.
fn target() -> Target {
    let index = |method: &str, class: &str| Index {
        name: format!("public.memory_{method}"),
        method: method.into(),
        class: class.into(),
        valid: true,
        whole: true,
    };
    Target {
        name: "memory".into(),
        literal: "'memory'".into(),
        table: "public.memory".into(),
        kind: "r".into(),
        rows: 100_000,
        pages: 12_000,
        state: "fresh".into(),
        documents: Some(100_000),
        changed_rows: Some(0),
        tsvector: Column {
            name: "tsv".into(),
            indexes: vec![index("gin", "pg_catalog.tsvector_ops")],
            ..Column::default()
        },
        embedding: Column {
            name: "embedding".into(),
            kind: "vector".into(),
            dimensions: 384,
            class: "public.vector_cosine_ops".into(),
            half: "public.halfvec".into(),
            indexes: vec![index("hnsw", "public.vector_cosine_ops")],
        },
        distance: "cosine".into(),
        ..Target::default()
    }
}

fn of_target(change: impl FnOnce(&mut Target)) -> Facts {
    let mut target = target();
    change(&mut target);
    Facts { targets: vec![target], ..Facts::default() }
}

#[test]
fn nothing_known_is_nothing_advised() {
    assert_eq!(advise(&Facts::default()), []);
    assert_eq!(advise(&facts("{}")), []);
    assert_eq!(rules(&of_target(|_| ())), [""; 0]);
    let rules: std::collections::BTreeSet<&str> = RULES.into_iter().collect();
    assert_eq!(rules.len(), RULES.len());
}

#[test]
fn a_library_that_is_not_preloaded() {
    let advice = only(&server("pg_stat_statements, \"a'b\"", 18));
    assert_eq!((advice.rule, advice.severity), (super::server::PRELOAD, Severity::Warning));
    assert!(advice.finding.contains("3 of the present sessions") && advice.finding.contains("3 MB"), "{advice:?}");
    assert_eq!(
        advice.statement,
        "ALTER SYSTEM SET shared_preload_libraries = 'pg_harca', 'pg_stat_statements', 'a''b' -- then restart the server"
    );
    assert!(only(&server("", 16)).why.contains("keeps a cache"));
    for there in ["pg_harca", "auto_explain,pg_harca", "\"$libdir/pg_harca\" , x"] {
        assert_eq!(advise(&server(there, 18)), [], "{there}");
    }
    let mut unseen = server("", 18);
    unseen.server.as_mut().unwrap().preloaded = None;
    assert_eq!(advise(&unseen), []);
}

fn cache(evictions: u64, curve: &[(u64, f64)]) -> Facts {
    let (hits, misses) = (40_000, 60_000);
    let cache =
        Cache { capacity: 10_000, hits, misses, evictions, sampled: 1_500, curve: curve.to_vec(), run_us: Some(8.0) };
    Facts { cache: Some(cache), ..Facts::default() }
}

#[test]
fn a_cache_below_the_knee_of_its_curve() {
    let curve = [(5_000, 0.2), (10_000, 0.4), (20_000, 0.7), (40_000, 0.74), (80_000, 0.74)];
    let advice = only(&cache(100, &curve));
    assert_eq!((advice.rule, advice.severity), (super::server::SHARED_CACHE, Severity::Warning));
    // 0.4 + 0.9 × 0.34 is not reached at 20,000.
    assert_eq!(advice.statement, "ALTER SYSTEM SET pg_harca.cache_size = 40000 -- then restart the server");
    assert!(advice.why.contains("40.0 % of hits, one of 40000 74.0 %"), "{}", advice.why);
    assert!(
        advice.gain.starts_with("34.0 % of the look-ups, 34000 runs of the model of 8.0 µs each"),
        "{}",
        advice.gain
    );
    let little = [(10_000, 0.4), (20_000, 0.46)];
    assert_eq!(only(&cache(100, &little)).severity, Severity::Notice);
}

#[test]
fn a_cache_that_is_large_enough() {
    let rising = [(10_000, 0.4), (20_000, 0.8)];
    assert_eq!(advise(&cache(0, &rising)), [], "nothing was put out");
    assert_eq!(advise(&cache(100, &[(10_000, 0.7), (20_000, 0.74), (80_000, 0.745)])), [], "next to nothing is gained");
    assert_eq!(advise(&cache(100, &[])), [], "nothing is known");
    let most = [(10_000, 0.1), (40_000_000, 0.9)];
    assert!(only(&cache(100, &most)).statement.contains("= 10000000 "), "no more than can be set");
}

#[test]
fn statistics_that_are_not_of_the_table_as_it_is() {
    for (state, severity) in
        [("stale", Severity::Warning), ("never built", Severity::Warning), ("changes were forgotten", Severity::Notice)]
    {
        let advice = only(&of_target(|target| {
            target.state = state.into();
            target.changed_rows = Some(30_000);
        }));
        assert_eq!((advice.rule, advice.severity), (super::target::STATISTICS, severity));
        assert_eq!(advice.statement, "SELECT harca.refresh_search_statistics('memory')");
        assert!(advice.gain.contains("30 % of the documents"), "{advice:?}");
    }
    for state in ["fresh", "changes are not counted", "counted on the primary"] {
        assert_eq!(advise(&of_target(|target| target.state = state.into())), [], "{state}");
    }
}

#[test]
fn documents_of_a_former_parser() {
    let renewal = "UPDATE public.memory SET content = content";
    let advice = only(&of_target(|target| target.renewal = Some(renewal.into())));
    assert_eq!((advice.rule, advice.statement.as_str()), (super::target::PARSER, renewal));
}

#[test]
fn indexes_that_are_missing() {
    let advice = advise(&of_target(|target| {
        target.tsvector.indexes.clear();
        target.embedding.indexes.clear();
    }));
    let statements: Vec<&str> = advice.iter().map(|one| one.statement.as_str()).collect();
    assert_eq!(
        statements,
        [
            "CREATE INDEX CONCURRENTLY ON public.memory USING gin (harca.with_frequencies(tsv))",
            "CREATE INDEX CONCURRENTLY ON public.memory USING hnsw (embedding public.vector_cosine_ops)",
        ]
    );
    assert!(advice.iter().all(|one| one.severity == Severity::Warning));
    // One with a condition, or of other columns as well, is none for a search.
    let partial = of_target(|target| {
        target.tsvector.indexes[0].whole = false;
        target.embedding.indexes[0].whole = false;
        target.rows = 6_000;
        target.kind = "p".into();
    });
    let advice = advise(&partial);
    assert_eq!(rules(&partial), [super::target::KEYWORD_INDEX, super::target::VECTOR_INDEX]);
    assert!(advice.iter().all(|one| one.statement.starts_with("CREATE INDEX ON") && one.severity == Severity::Notice));
    let bm25 = of_target(|target| target.tsvector.indexes[0].method = "bm25".into());
    assert_eq!(advise(&bm25), []);
    let small = of_target(|target| {
        target.tsvector.indexes.clear();
        target.embedding.indexes.clear();
        target.rows = 4_999;
    });
    assert_eq!(advise(&small), [], "a small table is read as fast without");
    let foreign = of_target(|target| {
        target.tsvector.indexes.clear();
        target.kind = "f".into();
    });
    assert_eq!(advise(&foreign), []);
}

#[test]
fn indexes_of_another_distance() {
    let advice = only(&of_target(|target| target.embedding.indexes[0].class = "public.vector_l2_ops".into()));
    assert_eq!(advice.rule, super::target::OPERATOR_CLASS);
    assert!(advice.finding.contains("public.memory_hnsw has the operator class public.vector_l2_ops"), "{advice:?}");
    assert!(advice.statement.ends_with("(embedding public.vector_cosine_ops)"));
    let both = of_target(|target| {
        let mut other = target.embedding.indexes[0].clone();
        other.class = "public.vector_l2_ops".into();
        target.embedding.indexes.insert(0, other);
    });
    assert_eq!(advise(&both), []);
}

#[test]
fn indexes_that_failed_to_be_built() {
    let invalid = of_target(|target| {
        target.tsvector.indexes[0].valid = false;
        target.embedding.indexes[0].valid = false;
    });
    let statements: Vec<String> = advise(&invalid).into_iter().map(|one| one.statement).collect();
    assert_eq!(
        statements,
        ["REINDEX INDEX CONCURRENTLY public.memory_gin", "REINDEX INDEX CONCURRENTLY public.memory_hnsw"]
    );
    let replaced = of_target(|target| {
        let mut broken = target.embedding.indexes[0].clone();
        broken.valid = false;
        target.embedding.indexes.insert(0, broken);
    });
    assert_eq!(advise(&replaced), []);
}

#[test]
fn embeddings_that_no_index_takes() {
    let wide = |dimensions, kind: &str| {
        of_target(|target| {
            target.embedding.indexes.clear();
            target.embedding.dimensions = dimensions;
            target.embedding.kind = kind.into();
        })
    };
    let advice = only(&wide(3072, "vector"));
    assert_eq!(advice.rule, super::target::DIMENSIONS);
    assert!(
        advice.statement.starts_with("ALTER TABLE public.memory ALTER COLUMN embedding TYPE public.halfvec(3072) ")
    );
    assert_eq!(rules(&wide(3072, "halfvec")), [super::target::VECTOR_INDEX]);
    assert_eq!(rules(&wide(2000, "vector")), [super::target::VECTOR_INDEX]);
    assert_eq!(advise(&wide(4001, "halfvec")), [], "nothing can be done");
    assert_eq!(advise(&wide(0, "vector")), [], "nothing is known");
}

#[test]
fn judgements_that_would_move_the_weights() {
    let judged = |new_judgements, tuning: Option<(f64, f64)>| {
        of_target(|target| {
            target.new_judgements = new_judgements;
            target.tuning = tuning.map(|(before, after)| Tuning { queries: 40, before, after });
        })
    };
    let advice = only(&judged(60, None));
    assert_eq!(
        (advice.rule, advice.statement.as_str()),
        (super::target::WEIGHTS, "SELECT * FROM harca.tune_search('memory')")
    );
    let advice = only(&judged(60, Some((0.6, 0.65))));
    assert!(advice.statement.ends_with("apply => true)") && advice.gain.contains("0.650"), "{advice:?}");
    assert_eq!(advise(&judged(49, None)), []);
    assert_eq!(advise(&judged(60, Some((0.6, 0.604)))), [], "measured, and nothing gained");
}

#[test]
fn a_vector_index_that_finds_too_little() {
    let found = |found, found_wider| {
        of_target(|target| target.recall = Some(Recall { queries: 20, ef_search: 100, found, wider: 400, found_wider }))
    };
    let advice = only(&found(0.8, 0.97));
    assert_eq!(advice.rule, super::target::EF_SEARCH);
    assert!(advice.statement.starts_with("ALTER ROLE CURRENT_USER SET hnsw.ef_search = 400 "));
    assert_eq!(advise(&found(0.96, 1.0)), [], "it finds enough");
    assert_eq!(advise(&found(0.8, 0.81)), [], "a longer scan finds no more");
}

#[test]
fn a_bitmap_without_room() {
    let of = |work_mem, pages, method: &str| {
        let mut facts = of_target(|target| {
            target.pages = pages;
            target.tsvector.indexes[0].method = method.into();
        });
        facts.server = Some(Server { version: 18, preloaded: None, sessions: 0, session_bytes: 0, work_mem });
        facts
    };
    let advice = only(&of(64 << 10, 12_000, "gin"));
    assert_eq!((advice.rule, advice.subject.as_str()), (super::server::WORK_MEM, "memory"));
    assert!(advice.finding.contains("work_mem is 64 kB, room for the rows of 1024 pages"), "{advice:?}");
    assert!(advice.statement.starts_with("ALTER ROLE CURRENT_USER SET work_mem = '750kB'"), "{advice:?}");
    assert_eq!(advise(&of(4 << 20, 1_000_000, "gin")), [], "a pass reads 20,000 rows at most");
    assert_eq!(advise(&of(64 << 10, 1_000, "gin")), [], "a small table");
    assert_eq!(advise(&of(64 << 10, 12_000, "bm25")), [], "no bitmap");
    assert!(only(&of(64 << 10, 1_000_000, "gin")).statement.contains("'1250kB'"));
}

#[test]
fn a_shadow_that_gives_the_same_answers_faster() {
    let of = |answers, agreement, p50_us| Facts {
        shadows: vec![Shadow {
            model: "small 1".into(),
            literal: "'small 1'".into(),
            active: "large 1".into(),
            answers,
            agreement,
            p50_us,
            active_p50_us: 12_000.0,
        }],
        ..Facts::default()
    };
    let advice = only(&of(5_000, 0.995, 60.0));
    assert_eq!((advice.rule, advice.subject.as_str()), (super::models::SLOWER_MODEL, "large 1"));
    assert_eq!(advice.statement, "SELECT harca.activate_model('small 1')");
    assert!(advice.why.contains("12 ms with large 1 and 60 µs with small 1"), "{}", advice.why);
    assert_eq!(advise(&of(999, 0.995, 60.0)), [], "too few answers");
    assert_eq!(advise(&of(5_000, 0.98, 60.0)), [], "other answers");
    assert_eq!(advise(&of(5_000, 0.995, 9_000.0)), [], "hardly faster");
    assert_eq!(advise(&of(5_000, 0.995, 0.0)), [], "no times");
}

#[test]
fn an_evaluation_that_the_active_model_loses() {
    let of = |accuracy, p50_us| Evaluation {
        model: format!("m {p50_us}"),
        literal: format!("'m {p50_us}'"),
        active: "large 1".into(),
        queries: 200,
        accuracy,
        active_accuracy: 0.91,
        p50_us,
        active_p50_us: 900.0,
    };
    let with = |evaluations: Vec<Evaluation>| Facts { evaluations, ..Facts::default() };
    // The fastest of those that are as right.
    let advice = only(&with(vec![of(0.91, 300.0), of(0.93, 100.0), of(0.90, 5.0)]));
    assert_eq!(advice.statement, "SELECT harca.activate_model('m 100')");
    assert_eq!(advise(&with(vec![of(0.90, 5.0)])), [], "less right");
    assert_eq!(advise(&with(vec![of(0.95, 700.0)])), [], "hardly faster");
    assert_eq!(advise(&with(vec![Evaluation { queries: 99, ..of(0.95, 5.0) }])), [], "too few queries");
}

#[test]
fn a_bound_that_a_model_never_keeps() {
    let of = |runs, p95_us, bound_us| Facts {
        slow_models: vec![SlowModel { model: "large 1".into(), bound_us, p95_us, runs, replaced: 70 }],
        ..Facts::default()
    };
    let advice = only(&of(50, 42_000.0, 10_000.0));
    assert_eq!((advice.rule, advice.severity), (super::models::LATENCY_BOUND, Severity::Warning));
    assert_eq!(advice.statement, "ALTER SYSTEM SET pg_harca.max_latency = '63ms'; SELECT pg_reload_conf()");
    assert_eq!(advise(&of(19, 42_000.0, 10_000.0)), [], "too few runs");
    assert_eq!(advise(&of(50, 9_000.0, 10_000.0)), [], "by its own times it keeps it: something else was slow");
    assert_eq!(advise(&of(50, 42_000.0, 0.0)), [], "no bound");
}

fn engine(change: impl FnOnce(&mut Engine)) -> Facts {
    let model = |priority: &str| EngineModel {
        model: "e5 1".into(),
        literal: "'e5 1'".into(),
        state: "ready".into(),
        priority: priority.into(),
        requests: 1_000,
        failed: 0,
        wait_p95_us: 3_000.0,
        run_p95_us: 12_000.0,
        bytes: 120 << 20,
    };
    let mut engine = Engine {
        state: "running".into(),
        needed_by: vec!["memory".into()],
        memory: 200 << 20,
        memory_bound: 2 << 30,
        queue_bound: 8192,
        threads: 2,
        processors: 2,
        strategy: "balanced".into(),
        models: vec![model("interactive"), model("bulk")],
        ..Engine::default()
    };
    change(&mut engine);
    Facts { engine: Some(engine), ..Facts::default() }
}

#[test]
fn an_engine_that_is_well() {
    assert_eq!(advise(&engine(|_| ())), []);
}

#[test]
fn an_engine_that_is_off_and_needed() {
    let advice = only(&engine(|engine| engine.state = "off".into()));
    assert_eq!((advice.rule, advice.severity), (super::engine::OFF, Severity::Critical));
    assert!(advice.finding.ends_with("needed by memory"));
    let unneeded = engine(|engine| {
        engine.state = "off".into();
        engine.needed_by.clear();
    });
    assert_eq!(advise(&unneeded), []);
}

#[test]
fn a_model_in_quarantine() {
    let advice = only(&engine(|engine| engine.models.iter_mut().for_each(|model| model.state = "quarantined".into())));
    assert_eq!((advice.rule, advice.severity), (super::engine::QUARANTINE, Severity::Critical));
    assert!(advice.statement.starts_with("SELECT harca.release_model('e5 1')"));
}

#[test]
fn an_engine_without_memory() {
    let advice = only(&engine(|engine| (engine.memory, engine.memory_bound) = (230 << 20, 256 << 20)));
    assert_eq!((advice.rule, advice.severity), (super::engine::MEMORY, Severity::Warning));
    assert!(advice.statement.contains("engine_memory = '512MB'"), "{advice:?}");
    let advice = only(&engine(|engine| engine.let_go_idle = 4));
    assert_eq!((advice.rule, advice.severity), (super::engine::MEMORY, Severity::Notice));
    assert!(advice.finding.contains("let 4 models go"), "{advice:?}");
    // What its models need goes before a quarter more.
    let large = engine(|engine| {
        engine.let_go_pressed = 1;
        engine.models[0].bytes = 4 << 30;
        engine.models[0].model = "m3 1".into();
    });
    assert!(only(&large).statement.contains("engine_memory = '6144MB'"), "{large:?}");
}

#[test]
fn an_engine_without_processors() {
    let starved = |threads, strategy: &str| {
        engine(|engine| {
            (engine.threads, engine.strategy) = (threads, strategy.into());
            engine.models[0].wait_p95_us = 80_000.0;
        })
    };
    let statement = |facts: &Facts| only(facts).statement;
    assert_eq!(only(&starved(2, "latency")).rule, super::engine::PROCESSORS);
    assert!(statement(&starved(1, "balanced")).contains("engine_threads = 0"));
    assert!(statement(&starved(2, "balanced")).contains("engine_strategy = 'latency'"));
    assert!(statement(&starved(2, "latency")).contains("or more processors"));
    let bulk = engine(|engine| engine.models[1].wait_p95_us = 900_000.0);
    assert_eq!(advise(&bulk), [], "bulk work is meant to wait");
    let few = engine(|engine| (engine.models[0].wait_p95_us, engine.models[0].requests) = (80_000.0, 99));
    assert_eq!(advise(&few), []);
    let long = engine(|engine| (engine.models[0].wait_p95_us, engine.models[0].run_p95_us) = (80_000.0, 60_000.0));
    assert_eq!(advise(&long), [], "it runs as long");
}

#[test]
fn an_engine_whose_queue_is_full() {
    let advice = only(&engine(|engine| engine.queued = 7_000));
    assert_eq!((advice.rule, advice.severity), (super::engine::QUEUE, Severity::Warning));
    assert!(advice.statement.contains("engine_queue = 16384"));
    assert_eq!(advise(&engine(|engine| engine.queued = 6_000)), []);
}

#[test]
fn what_matters_most_comes_first() {
    let mut all = engine(|engine| engine.models[0].state = "quarantined".into());
    all.targets = of_target(|target| {
        target.new_judgements = 60;
        target.state = "stale".into();
    })
    .targets;
    let severities: Vec<Severity> = advise(&all).iter().map(|one| one.severity).collect();
    assert_eq!(severities, [Severity::Critical, Severity::Warning, Severity::Notice]);
    assert!(advise(&all).iter().all(|one| RULES.contains(&one.rule)));
    assert!(
        advise(&all)
            .iter()
            .all(|one| [&one.finding, &one.why, &one.gain, &one.statement].iter().all(|text| !text.is_empty()))
    );
}

#[test]
fn numbers_as_people_say_them() {
    assert_eq!([0.0, 99.0, 12_001.0, 12_900.0].map(round_up), [0, 99, 13_000, 13_000]);
    assert_eq!([512, 1025, 3 << 20].map(bytes), ["512 bytes", "2 kB", "3 MB"]);
    assert_eq!([9.96, 812.4, 20_400.0].map(micros), ["10.0 µs", "812 µs", "20 ms"]);
    assert_eq!(
        [Severity::Critical, Severity::Warning, Severity::Notice].map(Severity::as_str),
        ["critical", "warning", "notice"]
    );
}
