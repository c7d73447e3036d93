//! IPv4 options (RFC 791, 3.1): the harmless ones, by a bounded look.

use crate::mutant::{self, Mutant::*};
use crate::{DropReason, Frame};

/// How many options are looked at.
const MOST: usize = 10;
/// Router alert (RFC 2113): copied, class 0, number 20.
const ROUTER_ALERT: u8 = 148;

/// Looks at `length` bytes of options at `start`.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub(super) fn admit<F: Frame + ?Sized>(frame: &F, start: usize, length: usize) -> Result<(), DropReason> {
    let mut at = 0_usize;
    for _ in 0..MOST {
        if at >= length {
            break;
        }
        // With the byte before it: the verifier draws no conclusion from the check of a single one, and behind the
        // last one the frame may end.
        let here = start.saturating_add(at);
        let [_, kind] = frame.bytes(here.saturating_sub(1)).ok_or(DropReason::IpOptions)?;
        match kind {
            0 => return Ok(()),
            1 => at = at.wrapping_add(1),
            ROUTER_ALERT => {
                let [_, size] = frame.bytes(here).ok_or(DropReason::IpOptions)?;
                if size != 4 {
                    return Err(DropReason::IpOptions);
                }
                at = at.wrapping_add(4);
            }
            _ if mutant::is(AnyOption) => return Ok(()),
            _ => return Err(DropReason::IpOptions),
        }
    }
    if at == length || mutant::is(UnlimitedOptions) { Ok(()) } else { Err(DropReason::IpOptions) }
}
