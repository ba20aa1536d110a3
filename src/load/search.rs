//! stub
use super::result::{self, Step};
#[derive(Clone, Debug, PartialEq)]
pub struct Slo;
impl Slo {
    pub fn parse(_: &str) -> Result<Slo, String> {
        Ok(Slo)
    }
}
pub struct Search;
impl Search {
    pub fn new(_: Slo, _: f64, _: Option<f64>, _: f64) -> Self {
        Search
    }
    pub fn next_rate(&mut self) -> Option<f64> {
        None
    }
    pub fn tried(&mut self, _: f64, _: &Step) {}
    pub fn finish(self) -> result::Search {
        result::Search::default()
    }
}
