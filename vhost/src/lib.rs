//! A vhost-user network port: protocol session and rings.
