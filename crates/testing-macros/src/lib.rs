//! `#[test]` for the integration tests, which have a harness of their own: only there can a test find out while it runs
//! that it must be skipped. `tests/all/main.rs` imports this attribute for all its modules.

use proc_macro::{TokenStream, TokenTree};

/// Registers a function as a test. It takes nothing and returns nothing.
#[proc_macro_attribute]
pub fn test(_: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens = function.clone().into_iter();
    let is_fn = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn");
    let Some(TokenTree::Ident(name)) = tokens.by_ref().skip_while(|token| !is_fn(token)).nth(1) else {
        return error("#[test] stands before a function");
    };
    let registered = format!(
        "inventory::submit! {{ crate::common::harness::Test {{ \
             path: concat!(module_path!(), \"::\", stringify!({name})), run: {name} }} }}"
    );
    let registered: TokenStream = registered.parse().expect("the text is Rust");
    function.into_iter().chain(registered).collect()
}

fn error(message: &str) -> TokenStream {
    format!("compile_error!({message:?});").parse().expect("the text is Rust")
}
