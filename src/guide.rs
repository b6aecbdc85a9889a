//! How to work with this crate, by topic.
//!
//! | page | tells |
//! | --- | --- |
//! | [`suspension`] | what happens when a guest waits |
//! | [`instrumenting`] | how to build a guest from C, C++, Rust, Zig or AssemblyScript |
//! | [`marshalling`] | how a type of your own crosses between guest and host |
//! | [`stack_policies`] | where parked calls keep their stacks, and which limits there are |
//! | [`errors`] | what each error means, and what to do |
//! | [`what_can_go_wrong`] | each fault, when it is told, and whether the guest is usable after |
//! | [`axum`] | a guest that answers web requests |
//! | [`testing`] | how to test a host block without a guest |
//! | [`comparison`] | fibers, JSPI, Emscripten and Wasmer, and where they are better |

#[doc = include_str!("guide/suspension.md")]
pub mod suspension {}

#[doc = include_str!("guide/instrumenting.md")]
pub mod instrumenting {}

#[doc = include_str!("guide/marshalling.md")]
pub mod marshalling {}

#[doc = include_str!("guide/stack_policies.md")]
pub mod stack_policies {}

#[doc = include_str!("guide/errors.md")]
pub mod errors {}

#[doc = include_str!("guide/what_can_go_wrong.md")]
pub mod what_can_go_wrong {}

#[doc = include_str!("guide/axum.md")]
pub mod axum {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/comparison.md")]
pub mod comparison {}
