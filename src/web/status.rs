//! Status codes: reason phrases and the texts of the canned pages, as recorded from httpd.

/// One status code that httpd knows.
pub struct Status {
    /// The code.
    pub code: u16,
    /// Reason phrase.
    pub reason: &'static str,
    /// Body of the canned page; `{method}`, `{admin}`, `{detail}`, `{location}`, `{expect}`, `{variant}` are filled in.
    pub text: &'static str,
}

const fn status(code: u16, reason: &'static str, text: &'static str) -> Status {
    Status { code, reason, text }
}

const INTERNAL: &str = "<p>The server encountered an internal error or\nmisconfiguration and was unable to complete\nyour request.</p>\n<p>Please contact the server administrator at \n {admin} to inform them of the time this error occurred,\n and the actions you performed just before this error.</p>\n<p>More information about this error may be available\nin the server error log.</p>\n";

/// All of them, by code.
#[rustfmt::skip]
static TABLE: &[Status] = &[
    status(100, "Continue", ""),
    status(101, "Switching Protocols", ""),
    status(102, "Processing", ""),
    status(103, "Early Hints", ""),
    status(200, "OK", ""),
    status(201, "Created", ""),
    status(202, "Accepted", ""),
    status(203, "Non-Authoritative Information", ""),
    status(204, "No Content", ""),
    status(205, "Reset Content", ""),
    status(206, "Partial Content", ""),
    status(207, "Multi-Status", ""),
    status(208, "Already Reported", ""),
    status(226, "IM Used", ""),
    status(300, "Multiple Choices", "{variants}"),
    status(301, "Moved Permanently", "<p>The document has moved <a href=\"{location}\">here</a>.</p>\n"),
    status(302, "Found", "<p>The document has moved <a href=\"{location}\">here</a>.</p>\n"),
    status(303, "See Other", "<p>The answer to your request is located <a href=\"{location}\">here</a>.</p>\n"),
    status(304, "Not Modified", ""),
    status(305, "Use Proxy", "<p>This resource is only accessible through the proxy\n<br />\nYou will need to configure your client to use that proxy.</p>\n"),
    status(307, "Temporary Redirect", "<p>The document has moved <a href=\"{location}\">here</a>.</p>\n"),
    status(308, "Permanent Redirect", "<p>The document has moved <a href=\"{location}\">here</a>.</p>\n"),
    status(400, "Bad Request", "<p>Your browser sent a request that this server could not understand.<br />\n{detail}</p>\n"),
    status(401, "Unauthorized", "<p>This server could not verify that you\nare authorized to access the document\nrequested.  Either you supplied the wrong\ncredentials (e.g., bad password), or your\nbrowser doesn't understand how to supply\nthe credentials required.</p>\n"),
    status(402, "Payment Required", INTERNAL),
    status(403, "Forbidden", "<p>You don't have permission to access this resource.{detail}</p>\n"),
    status(404, "Not Found", "<p>The requested URL was not found on this server.</p>\n"),
    status(405, "Method Not Allowed", "<p>The requested method {method} is not allowed for this URL.</p>\n"),
    status(406, "Not Acceptable", "<p>An appropriate representation of the requested resource could not be found on this server.</p>\n{variants}"),
    status(407, "Proxy Authentication Required", "<p>This server could not verify that you\nare authorized to access the document\nrequested.  Either you supplied the wrong\ncredentials (e.g., bad password), or your\nbrowser doesn't understand how to supply\nthe credentials required.</p>\n"),
    status(408, "Request Timeout", "<p>Server timeout waiting for the HTTP request from the client.</p>\n"),
    status(409, "Conflict", INTERNAL),
    status(410, "Gone", "<p>The requested resource is no longer available on this server and there is no forwarding address.\nPlease remove all references to this resource.</p>\n"),
    status(411, "Length Required", "<p>A request of the requested method {method} requires a valid Content-length.<br />\n{detail}</p>\n"),
    status(412, "Precondition Failed", "<p>The precondition on the request for this URL evaluated to false.</p>\n"),
    status(413, "Request Entity Too Large", "The requested resource does not allow request data with {method} requests, or the amount of data provided in\nthe request exceeds the capacity limit.\n"),
    status(414, "Request-URI Too Long", "<p>The requested URL's length exceeds the capacity\nlimit for this server.<br />\n{detail}</p>\n"),
    status(415, "Unsupported Media Type", "<p>The supplied request data is not in a format\nacceptable for processing by this resource.</p>\n"),
    status(416, "Requested Range Not Satisfiable", "<p>None of the range-specifier values in the Range\nrequest-header field overlap the current extent\nof the selected resource.</p>\n"),
    status(417, "Expectation Failed", "{expect}</p><p>Only the 100-continue expectation is supported.</p>\n"),
    status(421, "Misdirected Request", "<p>The client needs a new connection for this\nrequest as the requested host name does not match\nthe Server Name Indication (SNI) in use for this\nconnection.</p>\n"),
    status(422, "Unprocessable Entity", "<p>The server understands the media type of the\nrequest entity, but was unable to process the\ncontained instructions.</p>\n"),
    status(423, "Locked", "<p>The requested resource is currently locked.\nThe lock must be released or proper identification\ngiven before the method can be applied.</p>\n"),
    status(424, "Failed Dependency", "<p>The method could not be performed on the resource\nbecause the requested action depended on another\naction and that other action failed.</p>\n"),
    status(426, "Upgrade Required", "<p>The requested resource can only be retrieved\nusing SSL.  The server is willing to upgrade the current\nconnection to SSL, but your client doesn't support it.\nEither upgrade your client, or try requesting the page\nusing https://\n"),
    status(428, "Precondition Required", "<p>The request is required to be conditional.</p>\n"),
    status(429, "Too Many Requests", "<p>The user has sent too many requests\nin a given amount of time.</p>\n"),
    status(431, "Request Header Fields Too Large", "<p>The server refused this request because\nthe request header fields are too large.</p>\n"),
    status(451, "Unavailable For Legal Reasons", "<p>Access to this URL has been denied for legal reasons.<br />\n{detail}</p>\n"),
    status(500, "Internal Server Error", INTERNAL),
    status(501, "Not Implemented", "<p>{method} not supported for current URL.<br />\n{detail}</p>\n"),
    status(502, "Bad Gateway", "<p>The proxy server received an invalid\r\nresponse from an upstream server.<br />\r\n{detail}</p>\n"),
    status(503, "Service Unavailable", "<p>The server is temporarily unable to service your\nrequest due to maintenance downtime or capacity\nproblems. Please try again later.</p>\n"),
    status(504, "Gateway Timeout", "<p>The gateway did not receive a timely response\nfrom the upstream server or application.</p>\n"),
    status(505, "HTTP Version Not Supported", INTERNAL),
    status(506, "Variant Also Negotiates", "<p>A variant for the requested resource\n<pre>\n{variant}\n</pre>\nis itself a negotiable resource. This indicates a configuration error.</p>\n"),
    status(507, "Insufficient Storage", "<p>The method could not be performed on the resource\nbecause the server is unable to store the\nrepresentation needed to successfully complete the\nrequest.  There is insufficient free space left in\nyour storage allocation.</p>\n"),
    status(508, "Loop Detected", "<p>The server terminated an operation because\nit encountered an infinite loop.</p>\n"),
    status(510, "Not Extended", "<p>A mandatory extension policy in the request is not\naccepted by the server for this resource.</p>\n"),
    status(511, "Network Authentication Required", "<p>The client needs to authenticate to gain\nnetwork access.</p>\n"),
];

/// The row of `code`; unknown codes are answered as 500.
pub fn of(code: u16) -> &'static Status {
    match known(code) {
        Some(row) => row,
        None => known(500).unwrap_or(&TABLE[0]),
    }
}

/// The row of `code`, if httpd knows that code.
pub fn known(code: u16) -> Option<&'static Status> {
    TABLE.binary_search_by_key(&code, |row| row.code).ok().map(|at| &TABLE[at])
}

/// Statuses after which httpd closes the connection.
pub fn drops_connection(code: u16) -> bool {
    matches!(code, 400 | 408 | 411 | 413 | 414 | 500 | 501 | 503)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_unknown_codes_are_500() {
        assert!(TABLE.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(of(404).reason, "Not Found");
        assert_eq!(of(418).code, 500);
    }
}
