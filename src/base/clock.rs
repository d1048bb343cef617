//! Time as httpd prints and reads it.
