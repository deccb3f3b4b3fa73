//! The built program as a user runs it: what it prints, how it exits, what it leaves behind.
//! Faults are made on real servers, and each must end with the right code and the right sentence.

mod agent;
mod browser;
mod drift;
mod faults;
mod lock;
mod offline;
mod ownership;
mod postgres;
mod repair;
mod report;
mod rights;
mod run;
mod running;
