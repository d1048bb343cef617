//! Where a click is.

use super::line::number;

/// A place in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// The place in a query (`12,34`); none if there is no such, or it is the corner, which browsers without pictures send.
pub(super) fn click(args: Option<&[u8]>) -> Option<Point> {
    let args = args?;
    let x = coordinate(args, |byte| byte.is_ascii_digit() || byte == b',')?;
    let comma = memchr::memchr(b',', args)?;
    let y = coordinate(args.get(comma + 1..)?, |byte| byte.is_ascii_digit())?;
    (x != 0.0 || y != 0.0).then_some(Point { x, y })
}

/// The number where a byte of this kind is first.
fn coordinate(text: &[u8], starts: impl Fn(u8) -> bool) -> Option<f64> {
    let start = text.iter().position(|byte| starts(*byte))?;
    number(text.get(start..)?).map(|(number, _)| number)
}

/// Whether a shape of this name holds the place; names of no shape hold nothing.
pub(super) fn holds(name: &[u8], points: &[Point], at: Point) -> bool {
    if name.eq_ignore_ascii_case(b"poly") {
        return in_polygon(points, at);
    }
    // What httpd reads in the place of a second point that is not there is left to chance.
    let [first, second, ..] = points else { return false };
    if name.eq_ignore_ascii_case(b"circle") {
        return distance(at, *first) <= distance(*first, *second);
    }
    let within = |value: f64, a: f64, b: f64| a.min(b) <= value && value <= a.max(b);
    name.eq_ignore_ascii_case(b"rect") && within(at.x, first.x, second.x) && within(at.y, first.y, second.y)
}

/// The square of the distance.
fn distance(a: Point, b: Point) -> f64 {
    (a.x - b.x).powi(2) + (a.y - b.y).powi(2)
}

/// A ray to one side crosses the edges an odd number of times, or the place is on an edge.
fn in_polygon(points: &[Point], at: Point) -> bool {
    let end = points.iter().position(|point| point.x == -1.0).unwrap_or(points.len());
    let corners = points.get(..end).unwrap_or_default();
    let mut inside = false;
    for (a, b) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        let side = (at.y - a.y) * (b.x - a.x) - (at.x - a.x) * (b.y - a.y);
        let spans = |value: f64, a: f64, b: f64| a.min(b) <= value && value <= a.max(b);
        if side == 0.0 && spans(at.x, a.x, b.x) && spans(at.y, a.y, b.y) {
            return true;
        }
        if (a.y >= at.y) != (b.y >= at.y) {
            inside ^= if b.y >= a.y { side >= 0.0 } else { side <= 0.0 };
        }
    }
    inside
}

/// The `point` line that is nearest to the click.
#[derive(Default)]
pub(super) struct Closest(Option<(f64, Vec<u8>)>);

impl Closest {
    /// Another one.
    pub(super) fn offer(&mut self, click: Point, point: Point, target: &[u8]) {
        let far = distance(click, point);
        let inside = click.x >= 0.0 && click.y >= 0.0;
        if inside && self.0.as_ref().is_none_or(|(known, _)| far < *known) {
            self.0 = Some((far, target.to_vec()));
        }
    }

    /// Its URL or action.
    pub(super) fn target(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|(_, target)| target.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f64, y: f64) -> Point {
        Point { x, y }
    }

    #[test]
    fn shapes_hold_what_lies_on_their_edge() {
        let corners = [at(0.0, 0.0), at(4.0, 0.0), at(4.0, 4.0), at(2.0, 1.0), at(0.0, 4.0)];
        assert!(holds(b"poly", &corners, at(1.0, 0.5)) && holds(b"POLY", &corners, at(0.0, 3.0)));
        assert!(!holds(b"poly", &corners, at(2.0, 3.0)) && !holds(b"poly", &[], at(0.0, 0.0)));
        assert!(holds(b"rect", &corners[1..3], at(4.0, 2.0)) && !holds(b"rect", &corners[1..3], at(3.0, 2.0)));
        assert!(holds(b"circle", &corners[..2], at(0.0, 4.0)) && !holds(b"circle", &corners[..2], at(3.0, 3.0)));
        assert!(!holds(b"square", &corners, at(1.0, 0.5)));
    }

    #[test]
    fn clicks_are_two_numbers() {
        assert_eq!(click(Some(b"x=1&y=2,3")), Some(at(1.0, 3.0)));
        assert_eq!([click(None), click(Some(b"1")), click(Some(b"0,0")), click(Some(b",5"))], [None; 4]);
    }
}
