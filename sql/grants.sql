-- Who may do what. Functions are PUBLIC unless taken back here. They run with the caller's rights, but for those of the
-- registry of models: its tables are written by these functions alone, so that nothing stands there that was not checked.
GRANT USAGE ON SCHEMA harca TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON harca.search_target, harca.search_profile TO PUBLIC; -- a trigger guards them
GRANT SELECT, INSERT, DELETE ON harca.search_statistics TO PUBLIC; -- a trigger guards it, and the next
-- Lexemes are part of what a table holds: they are read through harca.common_term.
GRANT SELECT (target), INSERT, DELETE ON harca.search_term TO PUBLIC;
GRANT SELECT (target), INSERT, DELETE ON harca.search_background TO PUBLIC; -- so are embeddings; searches need no right
GRANT SELECT, INSERT, UPDATE, DELETE ON harca.passage_table TO PUBLIC; -- triggers guard it
GRANT SELECT ON harca.common_term, harca.stat_search_target TO PUBLIC;
-- Queries are read through harca.feedback, by the owners of the tables.
GRANT SELECT (target, recorded_at), INSERT, DELETE ON harca.search_feedback TO PUBLIC; -- a trigger guards it
GRANT SELECT ON harca.feedback TO PUBLIC;
GRANT SELECT, INSERT, DELETE ON harca.search_tuning TO PUBLIC; -- a trigger guards it
REVOKE ALL ON FUNCTION harca.announce_target() FROM PUBLIC;

REVOKE ALL ON FUNCTION harca.backend_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.backend_status() TO pg_monitor;
REVOKE ALL ON FUNCTION harca.load_model() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.load_model() TO pg_monitor;
REVOKE ALL ON FUNCTION harca.reset_local_cache() FROM PUBLIC;
REVOKE ALL ON FUNCTION harca.cache_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.cache_statistics() TO pg_monitor;
REVOKE ALL ON FUNCTION harca.hit_curve() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.hit_curve() TO pg_monitor;
REVOKE ALL ON FUNCTION harca.inference_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.inference_statistics() TO pg_monitor;
REVOKE ALL ON FUNCTION harca.memory_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.memory_statistics() TO pg_monitor;
GRANT SELECT ON harca.stat_cache, harca.stat_inference, harca.stat_memory TO pg_monitor;
REVOKE ALL ON FUNCTION harca.cache_reset() FROM PUBLIC;
REVOKE ALL ON FUNCTION harca.stat_reset() FROM PUBLIC;

-- The registry of models: harca_admin runs it, pg_monitor watches it, nobody else has a part in it.
REVOKE ALL ON FUNCTION
    harca.announce_deployment(), harca.builtin_model(), harca.model_key(text), harca.inspect_model(json, bytea),
    harca.register_model(json, bytea), harca.inspect_model(json, bytea, bytea), harca.register_model(json, bytea, bytea),
    harca.lock_name(text), harca.drop_model(text), harca.engine_status(), harca.engine_statistics(), harca.restart_engine(),
    harca.release_identity(text), harca.release_model(text), harca.read_model_folder(text, json), harca.import_model(text, json),
    harca.deploy(text, text, text, text, double precision), harca.lock_deployment(), harca.check_activation(text, text), harca.classifier_key(text),
    harca.activate_model(text, boolean), harca.rollback_model(), harca.compare_model(text, text, double precision),
    harca.stop_comparison(), harca.measure_models(text[], text), harca.models_to_measure(text),
    harca.confusion_by_label(text[], bigint[]), harca.store_evaluation(harca.model_evaluation),
    harca.evaluate_model(text, text), harca.model_counts(), harca.model_parts(),
    harca.same_class_mix(bigint[], bigint[]), harca.same_mean(double precision[], double precision[]),
    harca.stability_index(bigint[], bigint[]), harca.drift_verdict(double precision, bigint, bigint),
    harca.aligned_classes(text[], bigint[], text[]), harca.reset_drift_windows(), harca.set_drift_reference(),
    harca.drop_drift_reference(), harca.health(), harca.logged_queries(), harca.forget_queries(timestamptz),
    harca.unlogged_queries(), harca.export_training_data(real, boolean), harca.advice_on(text), harca.server_facts(), harca.index_facts(regclass, name[], text),
    harca.measured_recall(harca.search_target, integer), harca.measured_facts(harca.search_target, bigint), harca.target_facts(boolean),
    harca.model_facts(), harca.engine_facts(), harca.advise(boolean)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    harca.builtin_model(), harca.model_key(text), harca.inspect_model(json, bytea), harca.register_model(json, bytea),
    harca.inspect_model(json, bytea, bytea), harca.register_model(json, bytea, bytea), harca.restart_engine(),
    harca.release_model(text), harca.import_model(text, json), harca.drop_model(text), harca.activate_model(text, boolean), harca.rollback_model(),
    harca.compare_model(text, text, double precision), harca.stop_comparison(), harca.measure_models(text[], text),
    harca.models_to_measure(text), harca.confusion_by_label(text[], bigint[]),
    harca.store_evaluation(harca.model_evaluation), harca.evaluate_model(text, text), harca.reset_drift_windows(),
    harca.set_drift_reference(), harca.drop_drift_reference()
    TO harca_admin;
GRANT SELECT ON harca.model_activation, harca.model_evaluation TO harca_admin;
GRANT EXECUTE ON FUNCTION
    harca.builtin_model(), harca.model_counts(), harca.model_parts(), harca.same_class_mix(bigint[], bigint[]),
    harca.same_mean(double precision[], double precision[]), harca.stability_index(bigint[], bigint[]),
    harca.drift_verdict(double precision, bigint, bigint), harca.aligned_classes(text[], bigint[], text[]),
    harca.unlogged_queries(), harca.health(), harca.engine_status(), harca.engine_statistics(), harca.advice_on(text), harca.server_facts(), harca.index_facts(regclass, name[], text),
    harca.measured_recall(harca.search_target, integer), harca.measured_facts(harca.search_target, bigint), harca.target_facts(boolean),
    harca.model_facts(), harca.engine_facts(), harca.advise(boolean)
    TO harca_admin, pg_monitor;
GRANT SELECT ON harca.stat_engine, harca.models, harca.deployment, harca.stat_models, harca.drift, harca.drift_reference TO harca_admin, pg_monitor;

GRANT EXECUTE ON FUNCTION harca.read_model_folder(text, json) TO pg_read_server_files;

-- What people have asked is for those who train models, and for nobody else.
GRANT EXECUTE ON FUNCTION harca.logged_queries(), harca.forget_queries(timestamptz), harca.export_training_data(real, boolean)
    TO harca_query_log;
GRANT SELECT ON harca.query_log TO harca_query_log;
GRANT SELECT, INSERT, UPDATE, DELETE ON harca.labelled_query TO harca_query_log;

-- Triggers guard both: the owner of a table decides whether it is embedded.
GRANT SELECT (target), INSERT, UPDATE (rows_per_second), DELETE ON harca.embedded_table TO PUBLIC;
GRANT SELECT (target, attempts), UPDATE (attempts, not_before) ON harca.embedding_queue TO PUBLIC;
GRANT SELECT ON harca.embedding_progress, harca.embedding_failures TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON harca.embedding_change TO PUBLIC; -- a trigger guards it
