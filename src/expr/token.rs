//! Expressions as tokens.  The scanner has states, since the same byte means different things in
//! an expression, in a string, in `%{..}` and in the argument of `%{func:..}`.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::{char, digit1, multispace0, one_of, satisfy};
use nom::combinator::{map, opt, recognize, value};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

/// One token; [`Token::name`] is what httpd calls it in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    End,
    True,
    False,
    Not,
    And,
    Or,
    Compare(Compare),
    In,
    Match,
    NoMatch,
    Concat,
    Unary(u8),
    Binary(Vec<u8>),
    Digits(Vec<u8>),
    Id(Vec<u8>),
    Text(Vec<u8>),
    Group(u8),
    /// A regular expression, and whether it ignores case.
    Regex(Vec<u8>, bool),
    StringBegin,
    StringEnd,
    VarBegin,
    VarEnd,
    /// One of `( ) { } , :`.
    Mark(u8),
    /// The scanner's message.
    Error(Vec<u8>),
    /// The scanner of httpd has no rule for this byte and ends the program.
    Jammed,
}

/// How two words are compared: as texts, or as integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Text(Order),
    Integer(Order),
    /// Length first, then bytes.
    Length(Order),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Order {
    pub(super) fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => ordering.is_eq(),
            Self::Ne => ordering.is_ne(),
            Self::Lt => ordering.is_lt(),
            Self::Le => ordering.is_le(),
            Self::Gt => ordering.is_gt(),
            Self::Ge => ordering.is_ge(),
        }
    }
}

impl Token {
    /// The name in `syntax error, unexpected NAME`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::End => "$end",
            Self::True => "T_TRUE",
            Self::False => "T_FALSE",
            Self::Not => "T_OP_NOT",
            Self::And => "T_OP_AND",
            Self::Or => "T_OP_OR",
            Self::Compare(Compare::Text(order)) => match order {
                Order::Eq => "T_OP_STR_EQ",
                Order::Ne => "T_OP_STR_NE",
                Order::Lt => "T_OP_STR_LT",
                Order::Le => "T_OP_STR_LE",
                Order::Gt => "T_OP_STR_GT",
                Order::Ge => "T_OP_STR_GE",
            },
            Self::Compare(Compare::Integer(order) | Compare::Length(order)) => match order {
                Order::Eq => "T_OP_EQ",
                Order::Ne => "T_OP_NE",
                Order::Lt => "T_OP_LT",
                Order::Le => "T_OP_LE",
                Order::Gt => "T_OP_GT",
                Order::Ge => "T_OP_GE",
            },
            Self::In => "T_OP_IN",
            Self::Match => "T_OP_REG",
            Self::NoMatch => "T_OP_NRE",
            Self::Concat => "T_OP_CONCAT",
            Self::Unary(_) => "T_OP_UNARY",
            Self::Binary(_) => "T_OP_BINARY",
            Self::Digits(_) => "T_DIGIT",
            Self::Id(_) => "T_ID",
            Self::Text(_) => "T_STRING",
            Self::Group(_) => "T_REGEX_BACKREF",
            Self::Regex(_, false) => "T_REGEX",
            Self::Regex(_, true) => "T_REGEX_I",
            Self::StringBegin => "T_STR_BEGIN",
            Self::StringEnd => "T_STR_END",
            Self::VarBegin => "T_VAR_BEGIN",
            Self::VarEnd => "T_VAR_END",
            Self::Mark(b'(') => "'('",
            Self::Mark(b')') => "')'",
            Self::Mark(b'{') => "'{'",
            Self::Mark(b'}') => "'}'",
            Self::Mark(b',') => "','",
            Self::Mark(_) => "':'",
            Self::Error(_) | Self::Jammed => "T_ERROR",
        }
    }
}

/// What the scanner is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Expression,
    /// In quotes, or (`None`) in an expression that is a string as a whole.
    Text(Option<u8>),
    Variable,
    /// After the colon of `%{func:`.
    Argument,
}

/// Hands out tokens one by one.
pub(super) struct Scanner<'t> {
    rest: &'t [u8],
    states: Vec<State>,
}

impl<'t> Scanner<'t> {
    /// `string`: the text as a whole is a string with `%{..}` in it.
    pub(super) fn new(text: &'t [u8], string: bool) -> Self {
        Self { rest: text, states: vec![if string { State::Text(None) } else { State::Expression }] }
    }

    pub(super) fn next(&mut self) -> Token {
        match self.states.last().copied() {
            None | Some(State::Expression) => self.expression(),
            Some(State::Text(quote)) => self.text(quote),
            Some(State::Variable) => self.variable(),
            Some(State::Argument) => self.text(Some(b'}')),
        }
    }

    fn take<T>(&mut self, parsed: IResult<&'t [u8], T>) -> Option<T> {
        let (rest, token) = parsed.ok()?;
        self.rest = rest;
        Some(token)
    }

    fn expression(&mut self) -> Token {
        self.take(blanks(self.rest));
        let Some(first) = self.rest.first().copied() else { return Token::End };
        let Some(token) = self.take(expression_token(self.rest)) else {
            return Token::Error([b"Parse error near '", &[first][..], b"'"].concat());
        };
        match token {
            Token::StringBegin => self.states.push(State::Text(Some(first))),
            Token::VarBegin => self.states.push(State::Variable),
            _ => {}
        }
        token
    }

    fn variable(&mut self) -> Token {
        let Some(first) = self.rest.first().copied() else { return unterminated() };
        if let Some(token) = self.take(map(name, Token::Id).parse_complete(self.rest)) {
            return token;
        }
        self.rest = self.rest.get(1..).unwrap_or_default();
        match first {
            b'}' => {
                self.states.pop();
                Token::VarEnd
            }
            b':' => {
                self.states.pop();
                self.states.push(State::Argument);
                Token::Mark(b':')
            }
            _ => Token::Error([b"Invalid character in variable name '", &[first][..], b"'"].concat()),
        }
    }

    /// Text up to its end, a variable or a group.  A text that turns out bad is dropped, and only
    /// the error is seen.
    fn text(&mut self, end: Option<u8>) -> Token {
        let argument = self.states.last() == Some(&State::Argument);
        let mut text = Vec::new();
        loop {
            let Some(plain) = self.take(plain_text(self.rest)) else { return unterminated() };
            text.extend_from_slice(plain);
            let Some((first, after)) = self.rest.split_first() else {
                return match (end, text.is_empty()) {
                    (Some(_), _) => unterminated(),
                    (None, true) => Token::End,
                    (None, false) => Token::Text(text),
                };
            };
            match (first, after.first()) {
                (b'%', Some(b'{')) if text.is_empty() => {
                    self.rest = after.get(1..).unwrap_or_default();
                    self.states.push(State::Variable);
                    return Token::VarBegin;
                }
                (b'$', Some(digit @ b'0'..=b'9')) if text.is_empty() => {
                    self.rest = after.get(1..).unwrap_or_default();
                    return Token::Group(digit - b'0');
                }
                (b'%', Some(b'{')) | (b'$', Some(b'0'..=b'9')) => return Token::Text(text),
                (b'\\', _) => match self.take(escape(after)) {
                    Some(Ok(byte)) => text.push(byte),
                    Some(Err(message)) => return Token::Error(message.into()),
                    None => return Token::Jammed,
                },
                (b'\n', _) => return unterminated(),
                (byte, _) if Some(*byte) == end => {
                    if !text.is_empty() {
                        return Token::Text(text);
                    }
                    self.rest = after;
                    self.states.pop();
                    return if argument { Token::VarEnd } else { Token::StringEnd };
                }
                (b'"' | b'\'', _) if argument => return Token::Jammed,
                (byte, _) => {
                    text.push(*byte);
                    self.rest = after;
                }
            }
        }
    }
}

fn unterminated() -> Token {
    Token::Error(b"Unterminated string or variable".into())
}

fn blanks(text: &[u8]) -> IResult<&[u8], &[u8]> {
    multispace0(text)
}

/// One token of an expression; the longest spelling wins, as keywords are also names.
fn expression_token(text: &[u8]) -> IResult<&[u8], Token> {
    alt((
        value(Token::StringBegin, one_of("\"'")),
        value(Token::VarBegin, tag(&b"%{"[..])),
        group,
        regex,
        symbol,
        word,
        dashed,
        map(recognize(pair(opt(char('-')), digit1)), |digits: &[u8]| Token::Digits(digits.to_vec())),
        map(one_of("(){},:"), |mark| Token::Mark(mark as u8)),
    ))
    .parse_complete(text)
}

/// grammar: backref
fn group(text: &[u8]) -> IResult<&[u8], Token> {
    preceded(char('$'), map(one_of("0123456789"), |digit| Token::Group(digit as u8 - b'0'))).parse_complete(text)
}

/// grammar: regex
///
/// `/x/`, or `m` with one of a few delimiters; nothing escapes the delimiter.
fn regex(text: &[u8]) -> IResult<&[u8], Token> {
    let (after, delimiter) = alt((char('/'), preceded(char('m'), one_of("/#$%^,;:!?'\"|.-")))).parse_complete(text)?;
    let delimiter = delimiter as u8;
    let (rest, pattern) = take_till(|byte| byte == delimiter).parse_complete(after)?;
    // An open pattern ends the expression: httpd sees its end next.
    let Some((_, rest)) = rest.split_first() else { return Ok((rest, Token::End)) };
    let (rest, ignore_case) = opt(char('i')).parse_complete(rest)?;
    Ok((rest, Token::Regex(pattern.to_vec(), ignore_case.is_some())))
}

fn symbol(text: &[u8]) -> IResult<&[u8], Token> {
    alt((
        value(Token::And, tag(&b"&&"[..])),
        value(Token::Or, tag(&b"||"[..])),
        value(Token::Match, tag(&b"=~"[..])),
        value(Token::NoMatch, tag(&b"!~"[..])),
        value(Token::Compare(Compare::Text(Order::Eq)), tag(&b"=="[..])),
        value(Token::Compare(Compare::Text(Order::Ne)), tag(&b"!="[..])),
        value(Token::Compare(Compare::Text(Order::Le)), tag(&b"<="[..])),
        value(Token::Compare(Compare::Text(Order::Ge)), tag(&b">="[..])),
        value(Token::Compare(Compare::Text(Order::Eq)), tag(&b"="[..])),
        value(Token::Compare(Compare::Text(Order::Lt)), tag(&b"<"[..])),
        value(Token::Compare(Compare::Text(Order::Gt)), tag(&b">"[..])),
        value(Token::Not, tag(&b"!"[..])),
        value(Token::Concat, tag(&b"."[..])),
    ))
    .parse_complete(text)
}

/// A keyword or a name.
fn word(text: &[u8]) -> IResult<&[u8], Token> {
    map(name, |name| match name.as_slice() {
        b"true" => Token::True,
        b"false" => Token::False,
        b"not" => Token::Not,
        b"and" => Token::And,
        b"or" => Token::Or,
        _ => infix(&name).unwrap_or(Token::Id(name)),
    })
    .parse_complete(text)
}

/// `-eq`, `-n`, `-ipmatch`.
fn dashed(text: &[u8]) -> IResult<&[u8], Token> {
    let letter = satisfy(|byte| byte.is_ascii_alphabetic() || byte == '_');
    let name = recognize(pair(letter, take_while(is_name_byte)));
    map(preceded(char('-'), name), |name: &[u8]| match name {
        [letter] => Token::Unary(*letter),
        _ => infix(name).unwrap_or_else(|| Token::Binary(name.to_vec())),
    })
    .parse_complete(text)
}

fn infix(name: &[u8]) -> Option<Token> {
    let order = match name {
        b"in" => return Some(Token::In),
        b"eq" => Order::Eq,
        b"ne" => Order::Ne,
        b"lt" => Order::Lt,
        b"le" => Order::Le,
        b"gt" => Order::Gt,
        b"ge" => Order::Ge,
        _ => return None,
    };
    Some(Token::Compare(Compare::Integer(order)))
}

fn name(text: &[u8]) -> IResult<&[u8], Vec<u8>> {
    let name = recognize(pair(satisfy(|byte| byte.is_ascii_alphabetic()), take_while(is_name_byte)));
    map(name, |name: &[u8]| name.to_vec()).parse_complete(text)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn plain_text(text: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while(|byte| !matches!(byte, b'\\' | b'\n' | b'"' | b'\'' | b'%' | b'}' | b'$')).parse_complete(text)
}

/// What follows a backslash in a string.
fn escape(text: &[u8]) -> IResult<&[u8], Result<u8, &'static str>> {
    let digits = take_while1(|byte: u8| byte.is_ascii_digit());
    let octal = map(digits, |digits: &[u8]| {
        if digits.len() > 3 || digits.iter().any(|digit| *digit > b'7') {
            return Err("Bad escape sequence");
        }
        let value = digits.iter().fold(0u16, |value, digit| value * 8 + u16::from(digit - b'0'));
        u8::try_from(value).map_err(|_| "Escape sequence out of bound")
    });
    let letter = map(nom::number::complete::u8, |letter| {
        Ok(match letter {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'f' => 0x0c,
            literal => literal,
        })
    });
    alt((octal, letter)).parse_complete(text)
}
