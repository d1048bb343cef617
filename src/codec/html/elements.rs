//! What HTML 4 says of its elements, as libxml2 2.9 has it: which are empty, deprecated and by what they are closed.
//! Measured by asking the library for every pair of names.

/// An element that is known.
pub struct Element {
    /// Its name, in lower case.
    pub name: &'static str,
    /// It has no content and no end tag.
    pub empty: bool,
    /// HTML 4.01 Strict does not have it.
    pub deprecated: bool,
    /// Attributes that it must have.
    pub required: &'static [&'static str],
    /// Attributes that it may have.
    pub optional: &'static [&'static [&'static str]],
    /// Attributes that only HTML 4.01 Transitional has.
    pub legacy: &'static [&'static str],
}

const CORE: &[&str] = &["id", "class", "style", "title"];
const LANGUAGE: &[&str] = &["lang", "dir"];
#[rustfmt::skip]
const ALL: &[&str] = &["id", "class", "style", "title", "lang", "dir", "onclick", "ondblclick", "onmousedown", "onmouseup", "onmouseover", "onmouseout", "onkeypress", "onkeydown", "onkeyup"];

const fn row(
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static [&'static str]],
    legacy: &'static [&'static str],
) -> Element {
    Element { name, empty: false, deprecated: false, required, optional, legacy }
}

impl Element {
    const fn empty(self) -> Self {
        Self { empty: true, ..self }
    }

    const fn deprecated(self) -> Self {
        Self { deprecated: true, ..self }
    }
}

/// Those of HTML 4, by name.
#[rustfmt::skip]
pub(super) const ELEMENTS: &[Element] = &[
    row("a", &[], &[ALL, &["charset", "type", "name", "href", "hreflang", "rel", "rev", "accesskey", "shape", "coords", "tabindex", "onfocus", "onblur"]], &["target"]),
    row("abbr", &[], &[ALL], &[]),
    row("acronym", &[], &[ALL], &[]),
    row("address", &[], &[ALL], &[]),
    row("applet", &[], &[], &["id", "class", "style", "title", "codebase", "archive", "alt", "name", "height", "width", "align", "hspace", "vspace"]).deprecated(),
    row("area", &["alt"], &[&["shape", "coords", "href", "nohref", "tabindex", "accesskey", "onfocus", "onblur"]], &["target"]).empty(),
    row("b", &[], &[ALL], &[]),
    row("base", &["href"], &[], &["target"]).empty(),
    row("basefont", &[], &[], &["id", "size", "color", "face"]).empty().deprecated(),
    row("bdo", &["dir"], &[CORE, LANGUAGE], &[]),
    row("big", &[], &[ALL], &[]),
    row("blockquote", &[], &[ALL, &["cite"]], &[]),
    row("body", &[], &[ALL, &["onload", "onunload"]], &["background", "bgcolor", "text", "link", "vlink", "alink"]),
    row("br", &[], &[CORE], &["clear"]).empty(),
    row("button", &[], &[ALL, &["name", "value", "type", "disabled", "tabindex", "accesskey", "onfocus", "onblur"]], &[]),
    row("caption", &[], &[ALL], &[]),
    row("center", &[], &[], &["id", "class", "style", "title", "lang", "dir", "onclick", "ondblclick", "onmousedown", "onmouseup", "onmouseover", "onmouseout", "onkeypress", "onkeydown", "onkeyup"]).deprecated(),
    row("cite", &[], &[ALL], &[]),
    row("code", &[], &[ALL], &[]),
    row("col", &[], &[ALL, &["span", "width", "align", "char", "charoff", "valign"]], &[]).empty(),
    row("colgroup", &[], &[ALL, &["span", "width", "align", "char", "charoff", "valign"]], &[]),
    row("dd", &[], &[ALL], &[]),
    row("del", &[], &[ALL, &["datetime", "cite"]], &[]),
    row("dfn", &[], &[ALL], &[]),
    row("dir", &[], &[], &["id", "class", "style", "title", "lang", "dir", "onclick", "ondblclick", "onmousedown", "onmouseup", "onmouseover", "onmouseout", "onkeypress", "onkeydown", "onkeyup", "compact"]).deprecated(),
    row("div", &[], &[ALL], &["align"]),
    row("dl", &[], &[ALL], &["compact"]),
    row("dt", &[], &[ALL], &[]),
    row("em", &[], &[ALL], &[]),
    row("embed", &[], &[CORE, &["align", "alt", "border", "code", "codebase", "frameborder", "height", "hidden", "hspace", "name", "palette", "pluginspace", "pluginurl", "src", "type", "units", "vspace", "width"]], &[]).deprecated(),
    row("fieldset", &[], &[ALL], &[]),
    row("font", &[], &[], &["id", "class", "style", "title", "lang", "dir", "size", "color", "face"]).deprecated(),
    row("form", &["action"], &[ALL, &["method", "enctype", "accept", "name", "onsubmit", "onreset", "accept-charset"]], &["target"]),
    row("frame", &[], &[], &["id", "class", "style", "title", "longdesc", "name", "src", "frameborder", "marginwidth", "marginheight", "noresize", "scrolling"]).empty(),
    row("frameset", &[], &[], &["id", "class", "style", "title", "rows", "cols", "onload", "onunload"]),
    row("h1", &[], &[ALL], &["align"]),
    row("h2", &[], &[ALL], &["align"]),
    row("h3", &[], &[ALL], &["align"]),
    row("h4", &[], &[ALL], &["align"]),
    row("h5", &[], &[ALL], &["align"]),
    row("h6", &[], &[ALL], &["align"]),
    row("head", &[], &[LANGUAGE, &["profile"]], &[]),
    row("hr", &[], &[ALL], &["align", "noshade", "size", "width"]).empty(),
    row("html", &[], &[LANGUAGE], &["version"]),
    row("i", &[], &[ALL], &[]),
    row("iframe", &[], &[], &["id", "class", "style", "title", "longdesc", "name", "src", "frameborder", "marginwidth", "marginheight", "scrolling", "align", "height", "width"]),
    row("img", &["src", "alt"], &[ALL, &["longdesc", "name", "height", "width", "usemap", "ismap"]], &["align"]).empty(),
    row("input", &[], &[ALL, &["type", "name", "value", "checked", "disabled", "readonly", "size", "maxlength", "src", "alt", "usemap", "ismap", "tabindex", "accesskey", "onfocus", "onblur", "onselect", "onchange", "accept"]], &["align"]).empty(),
    row("ins", &[], &[ALL, &["datetime", "cite"]], &[]),
    row("isindex", &[], &[], &["id", "class", "style", "title", "lang", "dir", "prompt"]).empty().deprecated(),
    row("kbd", &[], &[ALL], &[]),
    row("label", &[], &[ALL, &["for", "accesskey", "onfocus", "onblur"]], &[]),
    row("legend", &[], &[ALL, &["accesskey"]], &["align"]),
    row("li", &[], &[ALL], &[]),
    row("link", &[], &[ALL, &["charset", "href", "hreflang", "type", "rel", "rev", "media"]], &["target"]).empty(),
    row("map", &["name"], &[ALL], &[]),
    row("menu", &[], &[], &["id", "class", "style", "title", "lang", "dir", "onclick", "ondblclick", "onmousedown", "onmouseup", "onmouseover", "onmouseout", "onkeypress", "onkeydown", "onkeyup", "compact"]).deprecated(),
    row("meta", &["content"], &[LANGUAGE, &["http-equiv", "name", "scheme", "charset"]], &[]).empty(),
    row("noframes", &[], &[ALL], &[]),
    row("noscript", &[], &[ALL], &[]),
    row("object", &[], &[ALL, &["declare", "classid", "codebase", "data", "type", "codetype", "archive", "standby", "height", "width", "usemap", "name", "tabindex"]], &["align", "border", "hspace", "vspace"]),
    row("ol", &[], &[ALL], &["type", "compact", "start"]),
    row("optgroup", &["label"], &[ALL, &["disabled"]], &[]),
    row("option", &[], &[ALL, &["disabled", "label", "selected", "value"]], &[]),
    row("p", &[], &[ALL], &["align"]),
    row("param", &["name"], &[&["id", "value", "valuetype", "type"]], &[]).empty(),
    row("pre", &[], &[ALL], &["width"]),
    row("q", &[], &[ALL, &["cite"]], &[]),
    row("s", &[], &[], &["id", "class", "style", "title", "lang", "dir", "onclick", "ondblclick", "onmousedown", "onmouseup", "onmouseover", "onmouseout", "onkeypress", "onkeydown", "onkeyup"]).deprecated(),
    row("samp", &[], &[ALL], &[]),
    row("script", &["type"], &[&["charset", "src", "defer", "event", "for"]], &["language"]),
    row("select", &[], &[ALL, &["name", "size", "multiple", "disabled", "tabindex", "onfocus", "onblur", "onchange"]], &[]),
    row("small", &[], &[ALL], &[]),
    row("span", &[], &[ALL], &[]),
    row("strike", &[], &[], &["id", "class", "style", "title", "lang", "dir", "onclick", "ondblclick", "onmousedown", "onmouseup", "onmouseover", "onmouseout", "onkeypress", "onkeydown", "onkeyup"]).deprecated(),
    row("strong", &[], &[ALL], &[]),
    row("style", &["type"], &[LANGUAGE, &["media", "title"]], &[]),
    row("sub", &[], &[ALL], &[]),
    row("sup", &[], &[ALL], &[]),
    row("table", &[], &[ALL, &["summary", "width", "border", "frame", "rules", "cellspacing", "cellpadding", "datapagesize"]], &["align", "bgcolor"]),
    row("tbody", &[], &[ALL, &["align", "char", "charoff", "valign"]], &[]),
    row("td", &[], &[ALL, &["abbr", "axis", "headers", "scope", "rowspan", "colspan", "align", "char", "charoff", "valign"]], &["nowrap", "bgcolor", "width", "height"]),
    row("textarea", &["rows", "cols"], &[ALL, &["name", "disabled", "readonly", "tabindex", "accesskey", "onfocus", "onblur", "onselect", "onchange"]], &[]),
    row("tfoot", &[], &[ALL, &["align", "char", "charoff", "valign"]], &[]),
    row("th", &[], &[ALL, &["abbr", "axis", "headers", "scope", "rowspan", "colspan", "align", "char", "charoff", "valign"]], &["nowrap", "bgcolor", "width", "height"]),
    row("thead", &[], &[ALL, &["align", "char", "charoff", "valign"]], &[]),
    row("title", &[], &[LANGUAGE], &[]),
    row("tr", &[], &[ALL, &["align", "char", "charoff", "valign"]], &["bgcolor"]),
    row("tt", &[], &[ALL], &[]),
    row("u", &[], &[], &["id", "class", "style", "title", "lang", "dir", "onclick", "ondblclick", "onmousedown", "onmouseup", "onmouseover", "onmouseout", "onkeypress", "onkeydown", "onkeyup"]).deprecated(),
    row("ul", &[], &[ALL], &["type", "compact"]),
    row("var", &[], &[ALL], &[]),
];

/// An open element, and those whose start tags close it. By name.
#[rustfmt::skip]
pub(super) const CLOSED_BY: &[(&str, &[&str])] = &[
    ("a", &["a", "fieldset", "table", "td", "th"]),
    ("address", &["dd", "dl", "dt", "form", "li", "ul"]),
    ("b", &["center", "p", "td", "th"]),
    ("big", &["p"]),
    ("caption", &["col", "colgroup", "tbody", "tfoot", "thead", "tr"]),
    ("colgroup", &["colgroup", "tbody", "tfoot", "thead", "tr"]),
    ("dd", &["dt"]),
    ("dir", &["dd", "dl", "dt", "form", "ul"]),
    ("dl", &["form", "li"]),
    ("dt", &["dd", "dl"]),
    ("font", &["center", "td", "th"]),
    ("form", &["form"]),
    ("h1", &["fieldset", "form", "li", "p", "table"]),
    ("h2", &["fieldset", "form", "li", "p", "table"]),
    ("h3", &["fieldset", "form", "li", "p", "table"]),
    ("h4", &["fieldset", "form", "li", "p", "table"]),
    ("h5", &["fieldset", "form", "li", "p", "table"]),
    ("h6", &["fieldset", "form", "li", "p", "table"]),
    ("head", &["a", "abbr", "acronym", "address", "b", "bdo", "big", "blockquote", "body", "br", "center", "cite", "code", "dd", "dfn", "dir", "div", "dl", "dt", "em", "fieldset", "font", "form", "frameset", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "iframe", "img", "kbd", "li", "listing", "map", "menu", "ol", "p", "pre", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "table", "tt", "u", "ul", "var", "xmp"]),
    ("i", &["center", "p", "td", "th"]),
    ("legend", &["fieldset"]),
    ("li", &["li"]),
    ("listing", &["dd", "dl", "dt", "fieldset", "form", "li", "table", "ul"]),
    ("menu", &["dd", "dl", "dt", "form", "ul"]),
    ("ol", &["form", "ul"]),
    ("option", &["optgroup", "option"]),
    ("p", &["address", "blockquote", "body", "caption", "center", "col", "colgroup", "dd", "dir", "div", "dl", "dt", "fieldset", "form", "frameset", "h1", "h2", "h3", "h4", "h5", "h6", "head", "hr", "li", "listing", "menu", "ol", "p", "pre", "table", "tbody", "td", "tfoot", "th", "title", "tr", "ul", "xmp"]),
    ("pre", &["dd", "dl", "dt", "fieldset", "form", "li", "table", "ul"]),
    ("s", &["p"]),
    ("script", &["noscript"]),
    ("small", &["p"]),
    ("span", &["td", "th"]),
    ("strike", &["p"]),
    ("style", &["body", "frameset"]),
    ("tbody", &["tbody", "tfoot"]),
    ("td", &["tbody", "td", "tfoot", "th", "tr"]),
    ("tfoot", &["tbody"]),
    ("th", &["tbody", "td", "tfoot", "th", "tr"]),
    ("thead", &["tbody", "tfoot"]),
    ("title", &["body", "frameset"]),
    ("tr", &["tbody", "tfoot", "tr"]),
    ("tt", &["p"]),
    ("u", &["p", "td", "th"]),
    ("ul", &["address", "form", "menu", "ol", "pre"]),
    ("xmp", &["dd", "dl", "dt", "fieldset", "form", "li", "table", "ul"]),
];
