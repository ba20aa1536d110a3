//! The moving averages.

use super::load::Load;

#[test]
fn an_average_comes_to_the_rate() {
    let mut load = Load::default();
    let mut value = 0;
    for _ in 0..200 {
        value += 50;
        load.update(value, 10.0);
    }
    let [one, five, fifteen] = load.averages();
    assert!((one - 300.0).abs() < 0.1, "{one}");
    assert!((five - 300.0).abs() < 1.0, "{five}");
    assert!((fifteen - 300.0).abs() < 40.0, "{fifteen}");
}

#[test]
fn an_average_decays_with_its_minutes() {
    let mut load = Load::default();
    load.update(1000, 10.0);
    let before = load.averages();
    (0..6).for_each(|_| load.update(1000, 10.0));
    let after = load.averages();
    // After one minute the average over one minute is down to 1/e.
    assert!((after[0] / before[0] - (-1.0f64).exp()).abs() < 1e-6);
    assert!(after[2] / before[2] > 0.9);
}
