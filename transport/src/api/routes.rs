//! A router that knows its paths.

use axum::Router;
use axum::routing::MethodRouter;

use crate::node::Node;

/// Routes, and the templates of their paths: a router does not tell them, and the description of the endpoints is held
/// against them.
#[derive(Debug, Default)]
pub(super) struct Routes {
    router: Router<Node>,
    paths: Vec<String>,
}

impl Routes {
    /// Adds a route.
    pub(super) fn route(mut self, path: &str, methods: MethodRouter<Node>) -> Self {
        self.paths.push(path.to_owned());
        Self { router: self.router.route(path, methods), paths: self.paths }
    }

    /// The templates of all paths.
    pub(super) fn paths(self) -> Vec<String> {
        self.paths
    }

    /// The router.
    pub(super) fn into_router(self) -> Router<Node> {
        self.router
    }
}
