//! A list of CPUs, as `cpu_list` and `--cpus` write it: `0-3,6`.

use std::fmt;
use std::str::FromStr;

/// CPUs in the order written, each once, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(pub Vec<u16>);

/// The greatest CPU number that is understood: that of the kernel's largest build option, less one.
pub(super) const CPU_MAX: u16 = 8191;

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus: Vec<String> = self.0.iter().map(u16::to_string).collect();
        f.write_str(&cpus.join(","))
    }
}

impl FromStr for CpuList {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut cpus = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (cpu(first)?, cpu(last)?);
            if first > last {
                return Err("a range of CPUs runs from the lower to the higher number");
            }
            for cpu in first..=last {
                if cpus.contains(&cpu) {
                    return Err("a CPU is listed twice");
                }
                cpus.push(cpu);
            }
        }
        Ok(CpuList(cpus))
    }
}

/// One CPU number.
fn cpu(text: &str) -> Result<u16, &'static str> {
    let text = text.trim();
    match text.parse() {
        Ok(cpu) if cpu <= CPU_MAX && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(cpu),
        _ => Err("CPUs are written as numbers and ranges, like 0-3,6"),
    }
}
