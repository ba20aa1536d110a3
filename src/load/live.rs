//! stub
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    pub elapsed_s: f64,
    pub published_per_s: f64,
    pub delivered_per_s: f64,
    pub p99_ns: u64,
    pub lost: u64,
    pub connected: u64,
    pub connections: u64,
    pub broker_bytes: Option<u64>,
}
pub struct Live;
impl Live {
    pub fn new(_: bool) -> Self {
        Live
    }
    pub fn phase(&mut self, _: &str, _: Option<f64>) {}
    pub fn show(&mut self, _: &Look) {}
    pub fn finish(&mut self) {}
}
