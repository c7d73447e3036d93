//! Looking tables up: what the law needs, and no more.

use crate::Address;
use crate::abi::{AppKey, Flow, FlowKey, Grant, GrantKey, Interface, ServiceKey, Session, SessionKey};
use core::ops::Deref;

/// The tables as the law sees them: BPF maps in the kernel, ordinary maps in the in-memory data plane.
pub trait Tables {
    /// A borrowed flow; its fields are atomic because every CPU writes them.
    type FlowRef<'a>: Deref<Target = Flow>
    where
        Self: 'a;

    /// The guarded interface with this index.
    fn interface(&self, index: u32) -> Option<&Interface>;

    /// The slot that the index names for this source. Its own key may differ: then the index entry was stale.
    fn session(&self, key: &SessionKey) -> Option<&Session>;

    /// The flow with this key.
    fn flow(&self, key: &FlowKey) -> Option<Self::FlowRef<'_>>;

    /// Stores the flow that `begin` writes, in place of an older one with this key. False if the table refused it.
    fn open_flow(&self, key: &FlowKey, begin: impl FnOnce(&mut Flow)) -> bool;

    /// The block of the most specific prefix of the app set that holds the address.
    fn block(&self, app_set: u32, address: &Address) -> Option<u32>;

    /// The app at this port of the block.
    fn app(&self, key: &AppKey) -> Option<u32>;

    /// The grant of this app in the allow-list.
    fn grant(&self, key: &GrantKey) -> Option<&Grant>;

    /// Who may reach this service of the gateway, as the flags of [`ServiceKey`].
    fn service(&self, key: &ServiceKey) -> Option<u32>;

    /// Whether the source is in a management prefix.
    fn is_management(&self, source: &Address) -> bool;
}
