//! GPUs of this machine, as their driver's own tool names them.

use super::check::{Area, Check};
use super::program::ask;
use crate::protocol::{Device, Gpu};
use crate::tools::is_on;

const QUERY: [&str; 2] = ["--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"];

/// The devices, or why none is known.
pub(super) async fn devices() -> Result<Vec<Device>, String> {
    let text = ask("nvidia-smi", &QUERY).await?;
    let devices: Vec<Device> = text.lines().filter_map(device).collect();
    if devices.is_empty() { Err("nvidia-smi names no device".to_owned()) } else { Ok(devices) }
}

pub(super) fn check(devices: &Result<Vec<Device>, String>) -> Check {
    let listed = devices.clone().map(|devices| {
        let names = devices.iter().map(|device| match &device.compute_capability {
            Some(capability) => format!("{} (compute capability {capability})", device.name),
            None => device.name.clone(),
        });
        names.collect::<Vec<_>>().join(", ")
    });
    Check::of(
        Area::Gpu,
        "devices",
        listed,
        "install NVIDIA's driver, or let the mission name a runner that has the device",
    )
}

/// Says why no device of this machine is the mission's.
pub(super) fn lacks(gpu: &Gpu, devices: &Result<Vec<Device>, String>) -> Option<String> {
    match devices {
        _ if gpu.is_cpu() => None,
        Ok(devices) if devices.iter().any(|device| is_on(gpu, device)) => None,
        Ok(devices) => {
            let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
            Some(format!("the mission's device is {gpu}, and this machine has {}", names.join(", ")))
        }
        Err(why) => Some(format!("the mission's device is {gpu}, and this machine has none: {why}")),
    }
}

/// Reads a line such as `NVIDIA B200, 10.0, 580.65`.
fn device(line: &str) -> Option<Device> {
    let mut words = line.split(',').map(str::trim);
    let name = words.next().filter(|name| !name.is_empty())?;
    let capability = words.next().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    Some(Device { name: name.to_owned(), compute_capability: capability.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_another_device_lacks_the_mission_s() {
        let found = device("NVIDIA H100 80GB HBM3, 9.0, 580.65.06").unwrap();
        assert_eq!(found.compute_capability.as_deref(), Some("9.0"));
        let devices = Ok(vec![found]);
        assert_eq!(lacks(&Gpu("H100".to_owned()), &devices), None);
        assert_eq!(lacks(&Gpu("cpu".to_owned()), &devices), None);
        assert!(lacks(&Gpu::default(), &devices).unwrap().contains("is B200, and this machine has NVIDIA H100"));
        assert!(lacks(&Gpu::default(), &Err("no driver".to_owned())).unwrap().contains("no driver"));
        assert_eq!(device(""), None);
    }
}
