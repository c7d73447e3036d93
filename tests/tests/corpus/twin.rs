//! The in-memory twin, in the world of the corpus.

use super::cast::{self, Act};
use super::read::{Way, World};
use gateway_common::abi::{Interface, Settings, VlanKey};
use gateway_common::{Packet, Verdict, law};
use gateway_userspace::dataplane::attach::XdpChoice;
use gateway_userspace::dataplane::{DataPlane as _, MemoryDataPlane, clock};
use gateway_userspace::policy::{Plan, Step};

/// The twin, with one interface.
pub struct Twin {
    plane: MemoryDataPlane,
    interface: u32,
}

impl Twin {
    /// Empty tables.
    pub fn new(interface: u32) -> Self {
        Self { plane: MemoryDataPlane::default(), interface }
    }

    /// Makes the beginning of a case, for which the cast has taken these steps.
    pub fn begin(&mut self, world: World, steps: Vec<Step>) {
        let interface = self.interface;
        self.plane = MemoryDataPlane::new(cast::CAPACITIES);
        self.plane.services = cast::services();
        self.plane.management = cast::management();
        self.plane.settings = Settings::from(cast::settings(0));
        let guarded = cast::guarded(world, "lo", interface, XdpChoice::Generic);
        let flags = Interface::LINK_LAYER | guarded.settings.flags();
        let row = Interface { zone: guarded.zone, slot: 0, flags, reserved: 0 };
        self.plane.interfaces.insert(interface, row);
        for vlan in guarded.vlans {
            let key = VlanKey { interface, vlan: vlan.vlan };
            self.plane.vlans.insert(key, Interface { zone: vlan.zone, ..row });
        }
        self.take(cast::apps());
        self.take(steps);
    }

    fn take(&mut self, steps: Vec<Step>) {
        self.plane.clock = clock::boot();
        self.plane.apply(&Plan { steps }).unwrap();
    }

    /// Does something, for which the cast has taken these steps.
    pub fn act(&mut self, act: Act, steps: Vec<Step>) {
        match act {
            Act::LimitServices(limit) => self.plane.settings = Settings::from(cast::settings(limit)),
            Act::ForgetInterface => {
                self.plane.interfaces.clear();
                self.plane.vlans.clear();
            }
            _ => {}
        }
        self.take(steps);
    }

    /// Judges a frame.
    pub fn judge(&mut self, way: Way, frame: &[u8]) -> Verdict {
        self.plane.clock = clock::boot();
        let mut packet = Packet::default();
        let judge = match way {
            Way::In => law::ingress::<[u8], _>,
            Way::Out => law::egress::<[u8], _>,
        };
        judge(frame, &mut packet, &self.plane, self.interface, self.plane.clock).verdict
    }
}
