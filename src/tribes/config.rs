//! What a channel is built with: plain values, Tomcat's names and defaults. Times are milliseconds.

use std::net::IpAddr;

use crate::codec::tribes::{Options, UniqueId};

/// `channelStartOptions`: which services start.
pub mod start {
    /// Receive membership.
    pub const MBR_RX: i32 = 4;
    /// Announce ourselves.
    pub const MBR_TX: i32 = 8;
    /// Take messages.
    pub const SND_RX: i32 = 1;
    /// Send messages.
    pub const SND_TX: i32 = 2;
    /// All of it.
    pub const DEFAULT: i32 = 15;
}

/// A `<Channel>` with everything in it. `Config::default()` is what a `<Cluster>` without children has.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The channel's name, `<cluster name>-Channel`.
    pub name: String,
    /// `channelStartOptions` of the cluster.
    pub start_options: i32,
    /// `heartbeat`: whether the channel calls [`super::Event::Heartbeat`] and its interceptors' by itself.
    pub heartbeat: bool,
    /// `heartbeatSleeptime`.
    pub heartbeat_sleeptime: u64,
    /// How members are found.
    pub membership: MembershipConfig,
    /// Where messages arrive.
    pub receiver: ReceiverConfig,
    /// How they leave.
    pub sender: SenderConfig,
    /// As written in server.xml: the first is the closest to the application.
    pub interceptors: Vec<InterceptorConfig>,
    /// What the other side may make us hold.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "Catalina-Channel".to_owned(),
            start_options: start::DEFAULT,
            heartbeat: true,
            heartbeat_sleeptime: 5000,
            membership: MembershipConfig::Mcast(McastConfig::default()),
            receiver: ReceiverConfig::default(),
            sender: SenderConfig::default(),
            interceptors: vec![
                InterceptorConfig::MessageDispatch(DispatchConfig::default()),
                InterceptorConfig::TcpFailureDetector(DetectorConfig::default()),
            ],
            limits: Limits::default(),
        }
    }
}

/// Bounds that Tomcat does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame from the address of a known member. A state transfer is one frame.
    pub frame: usize,
    /// The longest frame from anybody else.
    pub stranger_frame: usize,
    /// Bytes of incomplete frames on all connections together.
    pub buffered: usize,
    /// Connections that may be open towards us.
    pub connections: usize,
    /// Milliseconds that an incomplete frame may stand still before its connection is closed.
    pub stall: u64,
    /// The longest message after inflating or joining fragments.
    pub message: usize,
    /// Bytes of messages that wait for the application before connections are no longer read.
    pub backlog: usize,
    /// How many members may be known.
    pub members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 512 << 20,
            stranger_frame: 1 << 20,
            buffered: 768 << 20,
            connections: 4096,
            stall: 30_000,
            message: 512 << 20,
            backlog: 64 << 20,
            members: 1024,
        }
    }
}

/// `<Membership>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipConfig {
    /// `McastService`: heartbeats on a multicast group.
    Mcast(McastConfig),
    /// `StaticMembershipService`: a list, whose members are asked by RPC.
    Static(StaticServiceConfig),
}

/// `McastService`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McastConfig {
    /// The group.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The address of the interface to use.
    pub bind: Option<IpAddr>,
    /// Between two heartbeats.
    pub frequency: u64,
    /// After which silence a member is gone.
    pub drop_time: u64,
    /// How long a datagram may travel; 0 leaves it to the system.
    pub ttl: u32,
    /// Our domain.
    pub domain: Vec<u8>,
    /// Data every heartbeat carries.
    pub payload: Vec<u8>,
    /// Don't hear other nodes of this machine.
    pub local_loopback_disabled: bool,
    /// Make the socket anew after errors.
    pub recovery_enabled: bool,
    /// After so many of them in a row.
    pub recovery_counter: u32,
    /// Between two attempts.
    pub recovery_sleep_time: u64,
}

impl Default for McastConfig {
    fn default() -> Self {
        Self {
            address: IpAddr::from([228, 0, 0, 4]),
            port: 45564,
            bind: None,
            frequency: 500,
            drop_time: 3000,
            ttl: 0,
            domain: Vec::new(),
            payload: Vec::new(),
            local_loopback_disabled: false,
            recovery_enabled: true,
            recovery_counter: 10,
            recovery_sleep_time: 5000,
        }
    }
}

/// `StaticMembershipService`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticServiceConfig {
    /// `<LocalMember>`; otherwise the listed member at the receiver's address and port.
    pub local: Option<StaticMember>,
    /// `<Member>`s.
    pub members: Vec<StaticMember>,
    /// After which silence a member is gone.
    pub expiration_time: u64,
    /// For the connection that tells whether a member is there.
    pub connect_timeout: u64,
    /// For answers.
    pub rpc_timeout: u64,
    /// Ping by a clock of its own instead of the channel's heartbeat.
    pub use_thread: bool,
    /// That clock's period.
    pub ping_interval: u64,
}

impl Default for StaticServiceConfig {
    fn default() -> Self {
        Self {
            local: None,
            members: Vec::new(),
            expiration_time: 5000,
            connect_timeout: 500,
            rpc_timeout: 3000,
            use_thread: false,
            ping_interval: 1000,
        }
    }
}

/// `<Member>` and `<LocalMember>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticMember {
    /// Its address.
    pub host: IpAddr,
    /// Its TCP port.
    pub port: u16,
    /// Carried along; −1 for none.
    pub secure_port: i32,
    /// Its UDP port; −1 for none.
    pub udp_port: i32,
    /// As configured there as well.
    pub unique_id: UniqueId,
    /// Its domain.
    pub domain: Vec<u8>,
}

/// `NioReceiver`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// Where to listen, and what is told to everybody; `None` is `auto`.
    pub address: Option<IpAddr>,
    /// The first port to try; 0 takes any.
    pub port: u16,
    /// How many ports to try.
    pub auto_bind: u16,
    /// Told to everybody, never used.
    pub secure_port: i32,
    /// For datagrams; −1 for none.
    pub udp_port: i32,
    /// Connections that wait for being accepted.
    pub backlog: u32,
    /// `rxBufSize`.
    pub rx_buf_size: u32,
    /// `txBufSize`.
    pub tx_buf_size: u32,
    /// `tcpNoDelay`.
    pub tcp_no_delay: bool,
    /// `soKeepAlive`.
    pub so_keep_alive: bool,
    /// `selectorTimeout`, `maxThreads`, `minThreads` and the like: accepted, one thread does it all.
    pub max_threads: u32,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            address: None,
            port: 4000,
            auto_bind: 100,
            secure_port: -1,
            udp_port: -1,
            backlog: 128,
            rx_buf_size: 65536,
            tx_buf_size: 25188,
            tcp_no_delay: true,
            so_keep_alive: false,
            max_threads: 15,
        }
    }
}

/// `PooledParallelSender`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderConfig {
    /// Connections to one member at a time.
    pub pool_size: usize,
    /// How long a message waits for one.
    pub max_wait: u64,
    /// For connecting, writing and the acknowledgement.
    pub timeout: u64,
    /// How often a message is sent again after an error.
    pub max_retry_attempts: u32,
    /// Messages after which a connection is closed; −1 for never.
    pub keep_alive_count: i64,
    /// Age at which an idle connection is closed; −1 for never.
    pub keep_alive_time: i64,
    /// A FAIL_ACK is an error.
    pub throw_on_failed_ack: bool,
    /// `rxBufSize`.
    pub rx_buf_size: u32,
    /// `txBufSize`.
    pub tx_buf_size: u32,
    /// `tcpNoDelay`.
    pub tcp_no_delay: bool,
    /// `soKeepAlive`.
    pub so_keep_alive: bool,
}

impl Default for SenderConfig {
    fn default() -> Self {
        Self {
            pool_size: 25,
            max_wait: 3000,
            timeout: 3000,
            max_retry_attempts: 1,
            keep_alive_count: -1,
            keep_alive_time: -1,
            throw_on_failed_ack: true,
            rx_buf_size: 25188,
            tx_buf_size: 65536,
            tcp_no_delay: true,
            so_keep_alive: false,
        }
    }
}

/// `<Interceptor>`.
#[derive(Clone, Debug, PartialEq)]
pub enum InterceptorConfig {
    /// `TcpFailureDetector`.
    TcpFailureDetector(DetectorConfig),
    /// `TcpPingInterceptor`.
    TcpPing(PingConfig),
    /// `MessageDispatchInterceptor`, and `MessageDispatch15Interceptor` of old.
    MessageDispatch(DispatchConfig),
    /// `StaticMembershipInterceptor`.
    StaticMembership(StaticMembersConfig),
    /// `DomainFilterInterceptor`.
    DomainFilter(DomainConfig),
    /// `GzipInterceptor`.
    Gzip(GzipConfig),
    /// `FragmentationInterceptor`.
    Fragmentation(FragmentConfig),
    /// `OrderInterceptor`.
    Order(OrderConfig),
    /// `ThroughputInterceptor`.
    Throughput(ThroughputConfig),
    /// `EncryptInterceptor`.
    Encrypt(EncryptConfig),
}

/// `TcpFailureDetector`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorConfig {
    /// For the probe's connection.
    pub connect_timeout: u64,
    /// Whether the probe writes its frame.
    pub perform_send_test: bool,
    /// Whether it asks for an acknowledgement.
    pub perform_read_test: bool,
    /// How long it waits for that.
    pub read_test_timeout: u64,
    /// Seconds after which a suspect that still answers is given up.
    pub remove_suspects_timeout: u64,
    /// `optionFlag`, which goes along with probes.
    pub option_flag: Options,
}

impl Default for DetectorConfig {
    fn default() -> Self {
        Self {
            connect_timeout: 1000,
            perform_send_test: true,
            perform_read_test: false,
            read_test_timeout: 5000,
            remove_suspects_timeout: 300,
            option_flag: Options::NONE,
        }
    }
}

/// `TcpPingInterceptor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingConfig {
    /// With [`Self::use_thread`], between two pings.
    pub interval: u64,
    /// Ping by a clock of its own instead of the channel's heartbeat.
    pub use_thread: bool,
    /// Only members of a StaticMembershipInterceptor.
    pub static_only: bool,
    /// Options of the pings.
    pub option_flag: Options,
}

impl Default for PingConfig {
    fn default() -> Self {
        Self { interval: 1000, use_thread: false, static_only: false, option_flag: Options::NONE }
    }
}

/// `MessageDispatchInterceptor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchConfig {
    /// Bytes of messages that may wait.
    pub max_queue_size: u64,
    /// A message beyond it is sent at the caller's cost instead of failing.
    pub always_send: bool,
    /// Messages in the sender's hands at a time.
    pub max_threads: usize,
    /// Which messages are queued.
    pub option_flag: Options,
}

impl Default for DispatchConfig {
    fn default() -> Self {
        Self { max_queue_size: 64 << 20, always_send: true, max_threads: 10, option_flag: Options::ASYNCHRONOUS }
    }
}

/// `StaticMembershipInterceptor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticMembersConfig {
    /// `<LocalMember>`, whose uniqueId and domain we take.
    pub local: Option<StaticMember>,
    /// `<Member>`s.
    pub members: Vec<StaticMember>,
}

/// `DomainFilterInterceptor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    /// The only domain let through.
    pub domain: Vec<u8>,
    /// Every so many refused messages are logged.
    pub log_interval: u64,
}

impl Default for DomainConfig {
    fn default() -> Self {
        Self { domain: Vec::new(), log_interval: 100 }
    }
}

/// `GzipInterceptor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GzipConfig {
    /// Shorter messages are left alone.
    pub compression_min_size: usize,
    /// As Tomcat up to 8.5 has it: every message is compressed, without an option that says so.
    pub unmarked: bool,
}

/// `FragmentationInterceptor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentConfig {
    /// The longest piece.
    pub max_size: usize,
    /// How long an incomplete message is kept.
    pub expire: u64,
}

impl Default for FragmentConfig {
    fn default() -> Self {
        Self { max_size: 102_400, expire: 60_000 }
    }
}

/// `OrderInterceptor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderConfig {
    /// How long a gap is waited for.
    pub expire: u64,
    /// Whether messages behind a gap are delivered then, or dropped.
    pub forward_expired: bool,
    /// How many messages may wait behind a gap.
    pub max_queue: usize,
}

impl Default for OrderConfig {
    fn default() -> Self {
        Self { expire: 3000, forward_expired: true, max_queue: i32::MAX as usize }
    }
}

/// `ThroughputInterceptor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThroughputConfig {
    /// Messages between two reports.
    pub interval: u64,
}

impl Default for ThroughputConfig {
    fn default() -> Self {
        Self { interval: 10_000 }
    }
}

/// `EncryptInterceptor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptConfig {
    /// A Java transformation, `AES/GCM/NoPadding` or `AES/CBC/PKCS5Padding`.
    pub algorithm: String,
    /// `encryptionKey`, decoded.
    pub key: Vec<u8>,
    /// What is inside; Tomcat's versions differ.
    pub format: EncryptFormat,
    /// How far a message's clock may be off.
    pub replay_window_time: u64,
    /// How many messages are remembered.
    pub replay_window_message_count: usize,
}

impl Default for EncryptConfig {
    fn default() -> Self {
        Self {
            algorithm: "AES/GCM/NoPadding".to_owned(),
            key: Vec::new(),
            format: EncryptFormat::Timestamp,
            replay_window_time: 10_000,
            replay_window_message_count: 8192,
        }
    }
}

/// What EncryptInterceptor encrypts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncryptFormat {
    /// A timestamp and the message: Tomcat 10.1.56, 9.0.119, 11.0.23 and later.
    #[default]
    Timestamp,
    /// The message alone: before.
    Plain,
}

impl Config {
    /// What cannot work: all of it, in Tomcat's words where Tomcat says something.
    pub fn problems(&self) -> Vec<String> {
        use InterceptorConfig as I;
        let mut found = Vec::new();
        let place = |wanted: fn(&InterceptorConfig) -> bool| self.interceptors.iter().position(wanted);
        let detector = place(|i| matches!(i, I::TcpFailureDetector(_)));
        for interceptor in &self.interceptors {
            match interceptor {
                I::Encrypt(encrypt) => {
                    if let Err(problem) = super::encrypt::check(encrypt) {
                        found.push(problem.to_string());
                    }
                }
                I::Fragmentation(fragment) if fragment.max_size == 0 => found.push("maxSize must be positive".into()),
                _ => {}
            }
        }
        if let (Some(encrypt), Some(detector)) = (place(|i| matches!(i, I::Encrypt(_))), detector)
            && encrypt > detector
        {
            found.push(
                "EncryptInterceptor must be upstream of TcpFailureDetector. Check the order of the interceptors"
                    .to_owned(),
            );
        }
        if let MembershipConfig::Mcast(mcast) = &self.membership {
            if !mcast.address.is_multicast() {
                found.push(format!("Membership: {} is no multicast address", mcast.address));
            }
            if mcast.frequency == 0 {
                found.push("Membership: frequency must be positive".to_owned());
            }
        }
        if self.sender.pool_size == 0 {
            found.push("Transport: poolSize must be positive".to_owned());
        }
        found
    }
}
