//! The interface, as clients see it: a real core, its data plane in memory, a store in a temporary file.

mod admin;
mod bundle;
mod pages;
mod rules;
mod services;
mod shapes;
mod sign_in;
mod world;

use world::World;
