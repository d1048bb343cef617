//! Floor 5: workers, pools, balancers, backends.
