//! What every adapter owes to those who call `stream::*`, whatever it keeps the items in: checks over the worker and the stream port.
//!
//! A check is an async function over a [`Subject`]: a server, or two on one backend, that holds nothing yet. [`conforms`] makes a test of every
//! check for one backend, so that a result says which of both; another backend is one more line below, and a way to start it in `subject`.
//! What the Rust trait `Adapter` owes to the store stands in `weir_actors::testing::adapter`.

mod listing;
mod names;
mod order;
mod subject;
mod subscribing;
mod text;
mod updates;
mod values;

use serde_json::json;
use subject::Subject;

/// Every check as a test, each on a [`Subject`] of its own.
macro_rules! conforms {
    ($backend:ident, $start:expr) => {
        mod $backend {
            use super::*;
            conforms! { @ $start;
                values: written_value_comes_back_with_what_was_there_before;
                values: values_of_every_kind_come_back;
                values: numbers_and_keys_come_back_as_they_were_written;
                values: stored_null_is_a_value;
                values: changes_from_and_to_null_are_told;
                values: value_of_a_mebibyte_comes_back_whole;
                values: deepest_value_comes_back;
                names: names_of_any_kind_are_kept_apart;
                names: names_that_read_alike_when_joined_are_kept_apart;
                names: longest_and_empty_names_are_names;
                names: changes_reach_those_who_watch_that_very_name;
                listing: list_is_in_the_order_in_which_items_came;
                listing: groups_and_streams_are_listed_in_the_order_of_their_bytes;
                listing: groups_and_streams_without_items_are_not_listed;
                listing: large_group_is_listed_whole;
                updates: every_operation_does_what_it_does_to_a_value_in_memory;
                updates: random_operations_do_what_they_do_to_a_value_in_memory;
                updates: update_of_null_is_an_update_of_null;
                updates: updates_of_two_workers_are_all_counted;
                order: calls_are_applied_and_told_in_the_order_of_one_worker;
                order: void_calls_are_applied_and_told_in_the_order_of_one_worker;
                order: last_change_of_two_workers_is_what_is_stored;
                order: worker_reads_what_it_wrote;
                order: worker_lists_where_it_wrote;
                order: change_that_was_told_can_be_read;
                subscribing: those_who_join_during_writes_end_with_what_is_stored;
                subscribing: item_subscription_gets_the_item_and_its_changes_only;
                subscribing: sent_events_are_told_and_change_nothing;
                subscribing: delete_of_nothing_is_not_told;
            }
        }
    };
    (@ $start:expr; $($subject:ident: $check:ident;)+) => {
        $(#[tokio::test]
        async fn $check() {
            $subject::$check(&$start).await;
        })+
    };
}

conforms!(in_memory, Subject::kv_store(json!({"store_method": "in_memory"})));
conforms!(file_based, Subject::kv_store(json!({"store_method": "file_based"})));
conforms!(redis, Subject::redis(false));
conforms!(redis_with_two_nodes, Subject::redis(true));
conforms!(node_worker, Subject::node_worker().await);
