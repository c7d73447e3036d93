//! The kernel's tables as values: what should be in them, or what was found in them.

use super::model::{AllowListId, AppId, AppSetId, BlockId, SessionToken};
use gateway_common::KernelNanos;
use gateway_common::abi::{AppKey, Grant, GrantKey};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything that policy puts into the kernel. Ordered, so that equal states give equal plans.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TableSet {
    /// Prefixes of each app set, and their blocks.
    pub app_prefixes: BTreeMap<(AppSetId, IpNet), BlockId>,
    /// Ports of the blocks, and their apps.
    pub apps: BTreeMap<AppKey, AppId>,
    /// Grants of the allow-lists.
    pub grants: BTreeMap<GrantKey, Grant>,
    /// Sessions.
    pub sessions: BTreeMap<SessionToken, SessionEntry>,
}

/// A session as the kernel knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionEntry {
    /// The client's address.
    pub address: IpAddr,
    /// The zone.
    pub zone: u32,
    /// The interface it is bound to.
    pub interface: u32,
    /// The hardware address it is bound to, if any.
    pub mac: Option<[u8; 6]>,
    /// When it ends.
    pub deadline: KernelNanos,
    /// When its user last authenticated.
    pub authenticated_at: KernelNanos,
    /// The app set it is judged by.
    pub app_set: AppSetId,
    /// The allow-list it is judged by.
    pub allow_list: AllowListId,
}
