//! Transformations of the response body.

/// Changes the response body on its way out. Whoever inserts one also removes or corrects Content-Length.
pub trait BodyFilter {
    /// Takes some body, pushes what is ready to `out`.
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>);
    /// Pushes all that can be pushed: the handler has nothing more for now.
    fn flush(&mut self, out: &mut Vec<u8>);
    /// The body has ended.
    fn end(&mut self, out: &mut Vec<u8>);
}
