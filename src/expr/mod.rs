//! Floor 1: ap_expr.
