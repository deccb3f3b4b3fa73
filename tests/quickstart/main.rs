//! The quickstart, installed by its Job in a real cluster as a user installs it: with
//! `kubectl apply -f manifests/bootstrap.yaml`.
//!
//! One installation is brought through its life, because bringing up the stack takes longer than
//! everything else; what each part proves is said by the name of its function.

mod cluster;
mod life;
mod logins;
mod restarts;
mod stored;
mod stores;
