//! Floor 6: one room per httpd module.
