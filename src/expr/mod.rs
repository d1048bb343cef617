//! Floor 1: ap_expr.

/// A parsed expression.
pub struct Expr {}
