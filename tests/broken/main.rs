//! Broken stacks in the real cluster, and the sentence that a run of each ends with.
//!
//! The sentences are those of docs/diagnosis.md: what is printed there is what is printed here,
//! but for names and numbers that are others each time. All stacks run at once, because each
//! takes the time that its step has.

mod place;
mod stack;
mod webhook;

use stack::{shown, told};

#[test]
fn an_image_that_does_not_exist() {
    told("An image that does not exist", 69);
}

#[test]
fn a_secret_without_the_key() {
    told("A Secret without the key", 69);
}

#[test]
fn a_container_that_takes_too_much_memory() {
    told("A container that takes too much memory", 69);
}

#[test]
fn a_quota_that_is_used_up() {
    told("A quota that is used up", 69);
}

#[test]
fn a_pod_that_no_node_has_room_for() {
    told("A pod that no node has room for", 69);
}

#[test]
fn a_claim_whose_class_does_not_exist() {
    told("A claim whose class does not exist", 69);
}

#[test]
fn a_probe_that_fails() {
    told("A probe that fails", 69);
}

#[test]
fn a_namespace_that_forbids_the_pod() {
    told("A namespace that forbids the pod", 69);
}

#[test]
fn a_webhook_that_denies() {
    told("A webhook that denies", 78);
}

#[test]
fn a_webhook_whose_server_is_down() {
    told("A webhook whose server is down", 69);
}

#[test]
fn a_finalizer_that_nobody_takes_away() {
    told("A finalizer that nobody takes away", 69);
}

#[test]
fn an_operator_that_is_scaled_to_zero() {
    told("An operator that is scaled to zero", 69);
}

#[test]
fn an_operator_that_watches_other_namespaces() {
    told("An operator that watches other namespaces", 69);
}

#[test]
fn an_operator_without_a_right() {
    told("An operator without a right", 69);
}

#[test]
fn an_operator_that_does_not_renew_its_lease() {
    told("An operator that does not renew its Lease", 69);
}

#[test]
fn a_program_that_ends_again_and_again() {
    let title = "A program that ends again and again";
    told(title, 69);
    let log = [
        "    log of container web of pod web-",
        "      shop 1.0 starts\n",
        "      cannot open /etc/shop/shop.yaml: no such file\n",
        "    event BackOff (Warning",
    ];
    shown(title, &log);
}

#[test]
fn a_log_that_may_not_be_read() {
    let title = "A log that may not be read";
    told(title, 69);
    shown(
        title,
        &["could not be read: pods/log, which we may not get"],
    );
}

#[test]
fn a_job_that_fails() {
    let title = "A Job that fails";
    told(title, 65);
    shown(title, &["      importing 12 products\n"]);
}

#[test]
fn a_service_that_selects_no_pod() {
    told("A Service that selects no pod", 69);
}
