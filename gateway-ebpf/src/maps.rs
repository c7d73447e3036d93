//! The maps. Capacities here are the smallest; the daemon sets them from its configuration when it loads the object.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMap, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use core::cell::UnsafeCell;
use gateway_common::abi::{
    AppEntry, AppKey, AppPrefix, AppTraffic, Budget, BudgetKey, CaptureCount, CaptureGate, CaptureOrder, CaptureRecord,
    Cpu, Denial, DenialKey, Epoch, EventGate, Flow, FlowEvent, FragmentKey, Fragments, GrantSlot, Interface,
    InterfaceRow, ServiceKey, Session, Settings, SourceKey, Unrecorded, VlanKey,
};
use gateway_common::answer::Answer;
use gateway_common::forward::Way;
use gateway_common::rehearsal::Copies;
use gateway_common::table::index::Bucket;
use gateway_common::table::{Layout, Secrets};
use gateway_common::{Packet, Verdict, Word};

/// Not for the programs: kept for the daemon that comes next.
#[map]
pub static SECRETS: Array<Secrets> = Array::with_max_entries(1, 0);
#[map]
pub static EPOCH: Array<Epoch> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub static INTERFACES: Array<InterfaceRow> = Array::with_max_entries(InterfaceRow::ROWS, BPF_F_MMAPABLE);
#[map]
pub static VLANS: HashMap<VlanKey, Interface> = HashMap::with_max_entries(Interface::MOST_VLANS, 0);
#[map]
pub static SESSION_INDEX: Array<Bucket> = Array::with_max_entries(1024, BPF_F_MMAPABLE);
#[map]
pub static SESSION_FILTER: Array<Word> = Array::with_max_entries(64, BPF_F_MMAPABLE);
#[map]
pub static SESSIONS: Array<Session> = Array::with_max_entries(1024, BPF_F_MMAPABLE);
#[map]
pub static FLOWS: Array<Flow> = Array::with_max_entries(1024, BPF_F_MMAPABLE);
#[map]
pub static FRAGMENTS: LruHashMap<FragmentKey, Fragments> = LruHashMap::with_max_entries(1024, 0);
#[map]
pub static SOURCES: LruHashMap<SourceKey, Word> = LruHashMap::with_max_entries(1024, 0);
#[map]
pub static SERVICES: HashMap<ServiceKey, u32> = HashMap::with_max_entries(1024, 0);
#[map]
pub static OWN_FILTER: Array<Word> = Array::with_max_entries(ServiceKey::FILTER_WORDS, BPF_F_MMAPABLE);
#[map]
pub static MANAGEMENT: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(256, aya_ebpf::bindings::BPF_F_NO_PREALLOC);
#[map]
pub static APP_PREFIXES: LpmTrie<AppPrefix, u32> =
    LpmTrie::with_max_entries(1024, aya_ebpf::bindings::BPF_F_NO_PREALLOC);
#[map]
pub static APPS: HashMap<AppKey, AppEntry> = HashMap::with_max_entries(1024, 0);
#[map]
pub static GRANT_INDEX: Array<Bucket> = Array::with_max_entries(1024, BPF_F_MMAPABLE);
#[map]
pub static GRANTS: Array<GrantSlot> = Array::with_max_entries(1024, BPF_F_MMAPABLE);
#[map]
pub static BUDGETS: HashMap<BudgetKey, Budget> = HashMap::with_max_entries(1024, 0);
#[map]
pub static CPU: PerCpuArray<Cpu> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Interface::LIMIT * Verdict::CODES, 0);
#[map]
pub static APP_TRAFFIC: PerCpuArray<AppTraffic> = PerCpuArray::with_max_entries(1024, 0);
#[map]
pub static DENIALS: Array<Denial> = Array::with_max_entries(Denial::SLOTS, BPF_F_MMAPABLE);
/// Thirty thousand events: a tenth of a second, if a hundred thousand flows begin in each and as many give way.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(4 * 1024 * 1024, 0);
#[map]
pub static EVENT_GATE: PerCpuArray<EventGate> = PerCpuArray::with_max_entries(2, 0);
#[map]
pub static UNRECORDED: PerCpuArray<Unrecorded> = PerCpuArray::with_max_entries(1, 0);
/// Which denied packets are captured. This, and the next three, are of these programs and their daemon alone.
#[map]
pub static CAPTURE: Array<CaptureOrder> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub static CAPTURE_GATE: PerCpuArray<CaptureGate> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static CAPTURE_COUNTS: PerCpuArray<CaptureCount> = PerCpuArray::with_max_entries(Interface::LIMIT, 0);
/// As short as can be: the daemon that reads it makes it longer.
#[map]
pub static CAPTURED: RingBuf = RingBuf::with_byte_size(4096, 0);
/// A denied packet that is captured, by direction: the stack has no room for it.
#[map]
pub static CAPTURE_RECORD: PerCpuArray<CaptureRecord> = PerCpuArray::with_max_entries(2, 0);
/// What was understood of the packet at hand, by direction: the stack has no room for it.
#[map]
pub static PACKET: PerCpuArray<Packet> = PerCpuArray::with_max_entries(2, 0);
/// What is denied, by direction: the stack has no room for it.
#[map]
pub static DENIED: PerCpuArray<DenialKey> = PerCpuArray::with_max_entries(2, 0);
/// Where an answer is written before it takes the place of its packet: the stack has no room for it.
#[map]
pub static ANSWER: PerCpuArray<Answer> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
/// Interfaces between which packets are forwarded in XDP.
#[map]
pub static PORTS: Array<InterfaceRow> = Array::with_max_entries(InterfaceRow::ROWS, BPF_F_MMAPABLE);
/// Those of them to which packets may be redirected, in the same rows.
#[map]
pub static TARGETS: DevMap = DevMap::with_max_entries(InterfaceRow::ROWS, 0);
/// The way of the packet at hand, by direction: the stack has no room for it.
#[map]
pub static WAY: PerCpuArray<Way> = PerCpuArray::with_max_entries(2, 0);
/// What was understood of a reply, as [`PACKET`].
#[map]
pub static REPLY: PerCpuArray<Packet> = PerCpuArray::with_max_entries(1, 0);

/// What a dry run writes to, in the place of the other maps: one entry, because there is one run at a time, and
/// memory-mapped, because only such an array lies at a multiple of 64 bytes.
#[map]
pub static REHEARSED: Array<Rehearsed> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What was understood of the packet, and copies of what the law writes to.
#[repr(C)]
pub struct Rehearsed {
    pub packet: UnsafeCell<Packet>,
    pub copies: Copies,
}

// SAFETY: `packet` is that of the one run at a time.
unsafe impl Sync for Rehearsed {}

/// How the tables are laid out: the daemon writes it into the object before it loads it.
#[unsafe(no_mangle)]
static LAYOUT: Told = Told(UnsafeCell::new(Layout::NONE));

/// In a cell, so that the compiler does not go by what stands here.
struct Told(UnsafeCell<Layout>);

// SAFETY: nobody writes it once the object is loaded.
unsafe impl Sync for Told {}

/// How the tables are laid out.
#[inline(always)]
pub fn layout() -> &'static Layout {
    // SAFETY: nobody writes it once the object is loaded.
    unsafe { &*LAYOUT.0.get() }
}

/// Zero if what is judged is neither counted nor told: whoever measures what that costs writes it into the object before it is
/// loaded. It lies among constants, which are frozen before the programs are verified: what can never run is removed, and to
/// ask costs nothing.
#[unsafe(no_mangle)]
static RECORDS: u8 = 1;

/// Whether what is judged is counted and told.
#[inline(always)]
pub fn records() -> bool {
    // SAFETY: a static of this type. Volatile, so that the compiler does not go by what stands here.
    unsafe { core::ptr::read_volatile(&raw const RECORDS) != 0 }
}

// The ring buffer aligns its records to 8 bytes; an event must not ask for more.
const _: () = assert!(align_of::<FlowEvent>() <= 8);
