//! The guide's pages against the code that they describe.

use std::path::Path;

/// The variants of the error type, as its source declares them.
fn variants() -> Vec<String> {
    let source = include_str!("../asyncify-rt/src/error/errors.rs");
    let start = source.find("pub enum Error {").expect("the error type");
    let end = source[start..].find("\n}\n").expect("its end");
    let lines = source[start..start + end].lines();
    let at_top = lines.filter_map(|line| line.strip_prefix("    "));
    let names = at_top.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    names
        .map(|line| line.chars().take_while(char::is_ascii_alphanumeric).collect::<String>())
        .collect()
}

#[test]
fn the_errors_page_has_every_error_once() {
    let page = include_str!("../src/guide/errors.md");
    let variants = variants();
    assert!(variants.len() > 30, "{variants:?}");
    for variant in &variants {
        let rows = page.matches(&format!("| [`{variant}`](")).count();
        assert_eq!(rows, 1, "`Error::{variant}` has {rows} rows");
    }
}

/// Each row of a table on the page of faults, by how it begins, and a test that shows it: the file
/// in the runtime's tests, and the function.
const SHOWN: &[(&str, &str, &str)] = &[
    ("the file is not there", "module/main", "what_is_no_module_is_refused"),
    ("it is no module that the engine takes", "module/kinds", "each_is_told_as_what_it_is"),
    ("only some of Asyncify's functions", "module/main", "half_an_instrumentation_is_refused"),
    ("a function of the guest's own has", "module/main", "a_name_of_another_type_is_refused"),
    (
        "there is no memory to unwind into",
        "module/main",
        "memories_that_cannot_be_used_are_refused",
    ),
    ("kept findings or prepared bytes", "module/kept", "the_kept_form_is_that_of_its_version"),
    (
        "the host has imports that wait",
        "faults/linking",
        "a_module_that_is_not_instrumented_is_told_the_exact_command",
    ),
    (
        "a function that calls such an import",
        "faults/linking",
        "a_caller_of_a_suspending_import_that_was_left_out_is_told",
    ),
    (
        "a function that calls an instrumented one",
        "faults/frames",
        "a_function_that_a_list_left_out_is_told_when_the_guest_is_linked",
    ),
    (
        "imports that the host lacks",
        "faults/linking",
        "all_imports_that_do_not_fit_are_listed_with_both_signatures",
    ),
    (
        "exports differ from your trait",
        "faults/linking",
        "all_exports_that_differ_from_a_trait_are_listed",
    ),
    (
        "the start function reaches",
        "faults/contract",
        "a_start_function_that_reaches_a_suspending_import_is_told",
    ),
    ("a setting does not fit", "faults/ends", "a_deadline_needs_an_engine_that_counts_epochs"),
    (
        "there is no export of that name",
        "faults/linking",
        "exports_that_are_not_there_are_told_with_those_that_are",
    ),
    (
        "the guest is used from inside",
        "faults/reentry",
        "a_plain_import_that_locks_its_guest_is_told",
    ),
    (
        "a `try_…` while the guest runs",
        "faults/reentry",
        "another_thread_finds_a_running_guest_busy",
    ),
    ("the guest was dropped", "faults/reentry", "a_guest_that_is_gone_is_told"),
    (
        "an export declared as a plain `fn`",
        "faults/host_frame",
        "a_plain_export_that_reaches_a_suspending_import_is_told",
    ),
    (
        "the guest has no room for an argument",
        "faults/places",
        "an_allocator_that_answers_0_has_no_room",
    ),
    ("the guest's allocator traps", "faults/places", "an_allocator_that_traps_poisons"),
    (
        "a pointer and length outside",
        "faults/marshalling",
        "a_range_outside_the_memory_is_told_with_its_parameter",
    ),
    (
        "text that is not UTF-8",
        "faults/marshalling",
        "text_that_is_not_utf_8_is_told_with_its_parameter",
    ),
    (
        "more bytes than",
        "../../tests/passed",
        "what_an_import_is_passed_is_limited_before_it_is_copied",
    ),
    (
        "an export returns text or bytes",
        "faults/returned",
        "a_constant_is_refused_before_it_is_freed",
    ),
    (
        "a value that its type does not have",
        "faults/marshalling",
        "a_value_that_its_type_does_not_have_is_told_with_its_parameter",
    ),
    (
        "a wait is reached through another host function",
        "faults/host_frame",
        "a_suspending_import_is_refused_behind_a_host_frame_ready_or_not",
    ),
    (
        "a function on the way, behind a call",
        "faults/contract",
        "a_frame_that_runs_on_into_a_suspending_import_is_told",
    ),
    (
        "a wait is reached below a function",
        "faults/frames",
        "a_guest_that_drives_asyncify_itself_waits_outside_of_that_alone",
    ),
    (
        "a wait is reached through another instance",
        "faults/frames",
        "frames_of_another_instance_are_told_before_they_run_twice",
    ),
    (
        "the guest sets Asyncify's state itself",
        "faults/contract",
        "a_guest_that_writes_its_own_state_is_told",
    ),
    (
        "frames do not fit into a window that is borrowed",
        "faults/borrowed",
        "what_overflows_traps_at_the_end_of_the_memory_and_the_next_window_is_larger",
    ),
    (
        "frames do not fit into a window from",
        "faults/windows",
        "what_overflows_beyond_the_slack_poisons_and_the_next_window_is_larger",
    ),
    (
        "no room for a window or a region",
        "faults/shadow",
        "a_region_that_has_no_room_ends_only_the_call_that_needs_it",
    ),
    (
        "a call would run over the end",
        "faults/overflow",
        "a_call_that_would_overrun_its_region_is_stopped_and_its_neighbours_are_whole",
    ),
    (
        "a second call would park",
        "faults/shadow",
        "an_uncertain_stack_pointer_lets_one_call_park_at_a_time",
    ),
    (
        "a call ends early in such a guest",
        "faults/shadow",
        "a_call_that_is_ended_poisons_where_its_shadow_stack_cannot_be_freed",
    ),
    (
        "more calls, bytes or suspensions",
        "faults/ends",
        "more_parked_calls_than_allowed_are_refused_and_the_others_go_on",
    ),
    ("the guest traps", "ending_early", "a_trap_poisons_and_names_itself"),
    ("it calls too deeply", "stack_overflow", "an_endless_recursion_is_named"),
    (
        "it computes past its deadline",
        "faults/ends",
        "a_guest_that_runs_past_its_deadline_is_ended",
    ),
    ("an import returns a", "ending_early", "a_host_functions_error_ends_its_call_only"),
    (
        "an import panics while the guest runs",
        "ending_early",
        "a_panic_reaches_the_caller_and_leaves_no_lock_held",
    ),
    (
        "an import panics in a later poll",
        "ending_early",
        "a_panic_of_a_parked_calls_import_ends_that_call_only",
    ),
    ("the call is dropped", "ending_early", "a_dropped_call_poisons_if_asked_to"),
    (
        "the call is cancelled with an answer",
        "faults/cancel",
        "a_cancelled_call_resumes_with_the_given_answer",
    ),
    (
        "another call poisons the guest",
        "faults/poison",
        "a_trap_poisons_parked_and_later_calls_with_its_cause",
    ),
];

#[test]
fn each_row_of_what_can_go_wrong_is_shown_by_a_test() {
    let page = include_str!("../src/guide/what_can_go_wrong.md");
    let is_row = |line: &&str| {
        line.starts_with("| ") && !line.starts_with("| what ") && !line.starts_with("| --- ")
    };
    let rows: Vec<_> = page.lines().filter(is_row).collect();
    for row in &rows {
        let shown = SHOWN.iter().filter(|(begins, ..)| row[2..].starts_with(begins)).count();
        assert_eq!(shown, 1, "tests for `{row}`");
    }
    assert_eq!(rows.len(), SHOWN.len());
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("asyncify-rt/tests");
    for (row, file, function) in SHOWN {
        let source = std::fs::read_to_string(tests.join(file).with_extension("rs"));
        let found = source.is_ok_and(|source| source.contains(&format!("fn {function}(")));
        assert!(found, "`{row}`: there is no `{function}` in {file}.rs");
    }
}
