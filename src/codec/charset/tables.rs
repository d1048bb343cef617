//! Charsets: names, and the bytes of those that the library does not have.

use encoding_rs::Encoding;

use super::{Kind, Order, Width};

/// Names of charsets, in lower case, that the library does not have or has otherwise.
#[rustfmt::skip]
pub(super) const NAMES: &[(Kind, &[&str])] = &[
    (Kind::Utf8, &["utf-8", "utf8", "iso-10646/utf8", "iso-10646/utf-8"]),
    (Kind::Ascii, &["us-ascii", "ascii", "ansi_x3.4-1968", "ansi_x3.4-1986", "ansi_x3.4", "iso646-us", "iso-ir-6", "iso_646.irv:1991", "us", "ibm367", "cp367", "csascii", "646"]),
    (Kind::Latin1, &["iso-8859-1", "iso8859-1", "iso_8859-1", "iso88591", "8859_1", "iso_8859-1:1987", "iso-ir-100", "latin1", "l1", "ibm819", "cp819", "csisolatin1"]),
    (Kind::Wide(Width::Two, Order::Marked), &["utf-16", "utf16"]),
    (Kind::Wide(Width::Two, Order::Little), &["utf-16le", "utf16le", "ucs-2le", "ucs2le", "unicodelittle"]),
    (Kind::Wide(Width::Two, Order::Big), &["utf-16be", "utf16be", "ucs-2be", "unicodebig"]),
    (Kind::Wide(Width::Four, Order::Marked), &["utf-32", "utf32"]),
    (Kind::Wide(Width::Four, Order::Little), &["utf-32le", "utf32le", "ucs-4le", "ucs4le"]),
    (Kind::Wide(Width::Four, Order::Big), &["utf-32be", "utf32be", "ucs-4be", "ucs-4", "ucs4", "iso-10646/ucs4", "10646-1:1993/ucs4"]),
];

/// Other names of charsets that the library has.
#[rustfmt::skip]
pub(super) const ALIASES: &[(&str, &[&str])] = &[
    ("iso-8859-2", &["8859_2", "cp912", "ibm912"]),
    ("iso-8859-3", &["8859_3"]),
    ("iso-8859-4", &["8859_4"]),
    ("iso-8859-5", &["8859_5", "cp915", "ibm915"]),
    ("iso-8859-6", &["8859_6", "cp1089", "ibm1089"]),
    ("iso-8859-7", &["8859_7", "cp813", "ibm813"]),
    ("iso-8859-8", &["8859_8", "cp916", "ibm916"]),
    ("iso-8859-10", &["iso_8859-10:1992", "l6"]),
    ("windows-1250", &["ms-ee", "cp1250"]),
    ("windows-1251", &["ms-cyrl"]),
    ("windows-1252", &["ms-ansi"]),
    ("windows-1253", &["ms-greek"]),
    ("windows-1254", &["ms-turk"]),
    ("windows-1255", &["ms-hebr"]),
    ("windows-1256", &["ms-arab"]),
    ("windows-1257", &["winbaltrim"]),
    ("shift_jis", &["sjis-open", "sjis-win", "cp932", "ms932"]),
    ("euc-jp", &["eucjp", "euc-jp-ms", "eucjp-ms", "eucjp-open", "eucjp-win", "ujis"]),
    ("euc-kr", &["euckr", "uhc", "cp949", "mscp949"]),
    ("gbk", &["cp936", "ms936", "euc-cn", "euccn", "cn-gb", "windows-936"]),
    ("gb18030", &["gb13000"]),
    ("big5", &["big-five", "bigfive", "cp950", "big-5", "cn-big5", "big5-hkscs", "big5hkscs", "hkscs-big5"]),
];

/// Charsets of a byte each that the library does not have: name, other names, the characters of the bytes from 0x80 on,
/// or of all bytes.
#[rustfmt::skip]
pub(super) const OWN: &[(&str, &[&str], &str)] = &[
    ("ibm037", &["cp037", "037", "ebcdic-cp-us", "ebcdic-cp-ca", "ebcdic-cp-wt", "ebcdic-cp-nl", "csibm037"], "\u{0}\u{1}\u{2}\u{3}\u{9c}\u{9}\u{86}\u{7f}\u{97}\u{8d}\u{8e}\u{b}\u{c}\u{d}\u{e}\u{f}\u{10}\u{11}\u{12}\u{13}\u{9d}\u{85}\u{8}\u{87}\u{18}\u{19}\u{92}\u{8f}\u{1c}\u{1d}\u{1e}\u{1f}\u{80}\u{81}\u{82}\u{83}\u{84}\u{a}\u{17}\u{1b}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{5}\u{6}\u{7}\u{90}\u{91}\u{16}\u{93}\u{94}\u{95}\u{96}\u{4}\u{98}\u{99}\u{9a}\u{9b}\u{14}\u{15}\u{9e}\u{1a} \u{a0}âäàáãåçñ¢.<(+|&éêëèíîïìß!$*);¬-/ÂÄÀÁÃÅÇÑ¦,%_>?øÉÊËÈÍÎÏÌ`:#@'=\"Øabcdefghi«»ðýþ±°jklmnopqrªºæ¸Æ¤µ~stuvwxyz¡¿ÐÝÞ®^£¥·©§¶¼½¾[]¯¨´×{ABCDEFGHI\u{ad}ôöòóõ}JKLMNOPQR¹ûüùúÿ\\÷STUVWXYZ²ÔÖÒÓÕ0123456789³ÛÜÙÚ\u{9f}"),
    ("ibm500", &["cp500", "500", "ebcdic-cp-be", "ebcdic-cp-ch", "csibm500"], "\u{0}\u{1}\u{2}\u{3}\u{9c}\u{9}\u{86}\u{7f}\u{97}\u{8d}\u{8e}\u{b}\u{c}\u{d}\u{e}\u{f}\u{10}\u{11}\u{12}\u{13}\u{9d}\u{85}\u{8}\u{87}\u{18}\u{19}\u{92}\u{8f}\u{1c}\u{1d}\u{1e}\u{1f}\u{80}\u{81}\u{82}\u{83}\u{84}\u{a}\u{17}\u{1b}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{5}\u{6}\u{7}\u{90}\u{91}\u{16}\u{93}\u{94}\u{95}\u{96}\u{4}\u{98}\u{99}\u{9a}\u{9b}\u{14}\u{15}\u{9e}\u{1a} \u{a0}âäàáãåçñ[.<(+!&éêëèíîïìß]$*);^-/ÂÄÀÁÃÅÇÑ¦,%_>?øÉÊËÈÍÎÏÌ`:#@'=\"Øabcdefghi«»ðýþ±°jklmnopqrªºæ¸Æ¤µ~stuvwxyz¡¿ÐÝÞ®¢£¥·©§¶¼½¾¬|¯¨´×{ABCDEFGHI\u{ad}ôöòóõ}JKLMNOPQR¹ûüùúÿ\\÷STUVWXYZ²ÔÖÒÓÕ0123456789³ÛÜÙÚ\u{9f}"),
    ("ibm1047", &["cp1047", "1047", "ibm-1047"], "\u{0}\u{1}\u{2}\u{3}\u{9c}\u{9}\u{86}\u{7f}\u{97}\u{8d}\u{8e}\u{b}\u{c}\u{d}\u{e}\u{f}\u{10}\u{11}\u{12}\u{13}\u{9d}\u{85}\u{8}\u{87}\u{18}\u{19}\u{92}\u{8f}\u{1c}\u{1d}\u{1e}\u{1f}\u{80}\u{81}\u{82}\u{83}\u{84}\u{a}\u{17}\u{1b}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{5}\u{6}\u{7}\u{90}\u{91}\u{16}\u{93}\u{94}\u{95}\u{96}\u{4}\u{98}\u{99}\u{9a}\u{9b}\u{14}\u{15}\u{9e}\u{1a} \u{a0}âäàáãåçñ¢.<(+|&éêëèíîïìß!$*);^-/ÂÄÀÁÃÅÇÑ¦,%_>?øÉÊËÈÍÎÏÌ`:#@'=\"Øabcdefghi«»ðýþ±°jklmnopqrªºæ¸Æ¤µ~stuvwxyz¡¿Ð[Þ®¬£¥·©§¶¼½¾Ý¨¯]´×{ABCDEFGHI\u{ad}ôöòóõ}JKLMNOPQR¹ûüùúÿ\\÷STUVWXYZ²ÔÖÒÓÕ0123456789³ÛÜÙÚ\u{9f}"),
    ("ibm437", &["cp437", "437", "cspc8codepage437"], "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("ibm850", &["cp850", "850", "cspc850multilingual"], "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}"),
    ("ibm852", &["cp852", "852", "cspcp852"], "ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐└┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄ŢŮ▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\u{ad}˝˛ˇ˘§÷¸°¨˙űŘř■\u{a0}"),
    ("ibm858", &["cp858", "858"], "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}"),
    ("ibm855", &["cp855", "855", "csibm855"], "ђЂѓЃёЁєЄѕЅіІїЇјЈљЉњЊћЋќЌўЎџЏюЮъЪаАбБцЦдДеЕфФгГ«»░▒▓│┤хХиИ╣║╗╝йЙ┐└┴┬├─┼кК╚╔╩╦╠═╬¤лЛмМнНоОп┘┌█▄Пя▀ЯрРсСтТуУжЖвВьЬ№\u{ad}ыЫзЗшШэЭщЩчЧ§■\u{a0}"),
    ("ibm857", &["cp857", "857", "csibm857"], "ÇüéâäàåçêëèïîıÄÅÉæÆôöòûùİÖÜø£ØŞşáíóúñÑĞğ¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ºªÊËÈ\u{fffd}ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµ\u{fffd}×ÚÛÙìÿ¯´\u{ad}±\u{fffd}¾¶§÷¸°¨·¹³²■\u{a0}"),
    ("ibm860", &["cp860", "860", "csibm860"], "ÇüéâãàÁçêÊèÍÔìÃÂÉÀÈôõòÚùÌÕÜ¢£Ù₧ÓáíóúñÑªº¿Ò¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("ibm863", &["cp863", "863", "csibm863"], "ÇüéâÂà¶çêëèïî‗À§ÉÈÊôËÏûù¤ÔÜ¢£ÙÛƒ¦´óú¨¸³¯Î⌐¬½¼¾«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("ibm865", &["cp865", "865", "csibm865"], "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø₧ƒáíóúñÑªº¿⌐¬½¼¡«¤░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("cp775", &["ibm775", "cspc775baltic"], "ĆüéāäģåćłēŖŗīŹÄÅÉæÆōöĢ¢ŚśÖÜø£Ø×¤ĀĪóŻżź”¦©®¬½¼Ł«»░▒▓│┤ĄČĘĖ╣║╗╝ĮŠ┐└┴┬├─┼ŲŪ╚╔╩╦╠═╬Žąčęėįšųūž┘┌█▄▌▐▀ÓßŌŃõÕµńĶķĻļņĒŅ’\u{ad}±“¾¶§÷„°∙·¹³²■\u{a0}"),
    ("koi8-u", &[], "─│┌┐└┘├┤┬┴┼▀▄█▌▐░▒▓⌠■∙√≈≤≥\u{a0}⌡°²·÷═║╒ёє╔ії╗╘╙╚╛ґ╝╞╟╠╡ЁЄ╣ІЇ╦╧╨╩╪Ґ╬©юабцдефгхийклмнопярстужвьызшэщчъЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЫЗШЭЩЧЪ"),
    ("koi8-ru", &[], "─│┌┐└┘├┤┬┴┼▀▄█▌▐░▒▓“■∙”—№™\u{a0}»®«·¤═║╒ёє╔ії╗╘╙╚╛ґў╞╟╠╡ЁЄ╣ІЇ╦╧╨╩╪ҐЎ©юабцдефгхийклмнопярстужвьызшэщчъЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЫЗШЭЩЧЪ"),
    ("macintosh", &["mac", "csmacintosh"], "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø¿¡¬√ƒ≈Δ«»…\u{a0}ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\u{e01e}ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ"),
    ("iso-8859-9", &["8859_9", "iso88599", "iso8859-9", "iso_8859-9", "iso_8859-9:1989", "iso-ir-148", "latin5", "l5", "ibm920", "cp920", "csisolatin5"], "\u{80}\u{81}\u{82}\u{83}\u{84}\u{85}\u{86}\u{87}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{8d}\u{8e}\u{8f}\u{90}\u{91}\u{92}\u{93}\u{94}\u{95}\u{96}\u{97}\u{98}\u{99}\u{9a}\u{9b}\u{9c}\u{9d}\u{9e}\u{9f}\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏĞÑÒÓÔÕÖ×ØÙÚÛÜİŞßàáâãäåæçèéêëìíîïğñòóôõö÷øùúûüışÿ"),
    ("iso-8859-11", &["iso8859-11", "iso885911"], "\u{80}\u{81}\u{82}\u{83}\u{84}\u{85}\u{86}\u{87}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{8d}\u{8e}\u{8f}\u{90}\u{91}\u{92}\u{93}\u{94}\u{95}\u{96}\u{97}\u{98}\u{99}\u{9a}\u{9b}\u{9c}\u{9d}\u{9e}\u{9f}\u{a0}กขฃคฅฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรฤลฦวศษสหฬอฮฯะัาำิีึืฺุู\u{fffd}\u{fffd}\u{fffd}\u{fffd}฿เแโใไๅๆ็่้๊๋์ํ๎๏๐๑๒๓๔๕๖๗๘๙๚๛\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
    ("tis-620", &["tis620", "tis620-0", "tis620.2529-1", "tis620.2533-0", "iso-ir-166"], "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}กขฃคฅฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรฤลฦวศษสหฬอฮฯะัาำิีึืฺุู\u{fffd}\u{fffd}\u{fffd}\u{fffd}฿เแโใไๅๆ็่้๊๋์ํ๎๏๐๑๒๓๔๕๖๗๘๙๚๛\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
];

/// Names of the library that are no charsets for others.
pub(super) const NOT_NAMES: &[&str] = &[
    "x-user-defined",
    "replacement",
    "iso-2022-cn",
    "iso-2022-cn-ext",
    "iso-2022-kr",
    "csiso2022kr",
    "hz-gb-2312",
    "koi8",
];

/// Those of the library with a byte each; whether the bytes from 0x80 to 0x9f stand for themselves.
pub(super) static SINGLE: [(&Encoding, Low); 24] = [
    (encoding_rs::ISO_8859_2, Low::Controls),
    (encoding_rs::ISO_8859_3, Low::Controls),
    (encoding_rs::ISO_8859_4, Low::Controls),
    (encoding_rs::ISO_8859_5, Low::Controls),
    (encoding_rs::ISO_8859_6, Low::Controls),
    (encoding_rs::ISO_8859_7, Low::Controls),
    (encoding_rs::ISO_8859_8, Low::Controls),
    (encoding_rs::ISO_8859_10, Low::Controls),
    (encoding_rs::ISO_8859_13, Low::Controls),
    (encoding_rs::ISO_8859_14, Low::Controls),
    (encoding_rs::ISO_8859_15, Low::Controls),
    (encoding_rs::ISO_8859_16, Low::Controls),
    (encoding_rs::WINDOWS_1250, Low::Undefined),
    (encoding_rs::WINDOWS_1251, Low::Undefined),
    (encoding_rs::WINDOWS_1252, Low::Undefined),
    (encoding_rs::WINDOWS_1253, Low::Undefined),
    (encoding_rs::WINDOWS_1254, Low::Undefined),
    (encoding_rs::WINDOWS_1255, Low::Undefined),
    (encoding_rs::WINDOWS_1256, Low::Undefined),
    (encoding_rs::WINDOWS_1257, Low::Undefined),
    (encoding_rs::WINDOWS_1258, Low::Undefined),
    (encoding_rs::WINDOWS_874, Low::Undefined),
    (encoding_rs::KOI8_R, Low::Controls),
    (encoding_rs::IBM866, Low::Controls),
];

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Low {
    /// Control characters are what they are.
    Controls,
    /// The library fills holes with control characters.
    Undefined,
}
