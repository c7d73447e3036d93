//! The interface, as clients see it: a real core, its data plane in memory, a store in a temporary file.

mod admin;
mod bundle;
mod explain;
mod pages;
mod rules;
mod services;
mod shapes;
mod sign_in;
mod twin;
mod world;

use world::{Answer, World};
