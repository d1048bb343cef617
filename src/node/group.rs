//! A Cluster element as the settings of a channel.

use std::net::IpAddr;

use super::components::{Component, Kind};
use super::model::resolve;
use crate::tribes::config::{
    Config, DetectorConfig, DispatchConfig, DomainConfig, EncryptConfig, EncryptFormat, FragmentConfig, GzipConfig,
    InterceptorConfig, McastConfig, MembershipConfig, OrderConfig, PingConfig, ReceiverConfig, SenderConfig,
    StaticMember, StaticMembersConfig, StaticServiceConfig, ThroughputConfig,
};

/// The settings of a cluster's channel.
///
/// # Errors
/// What is wrong with the element.
pub fn config(cluster: &Component, owner: &str) -> Result<Config, String> {
    let name = cluster.text("clusterName").unwrap_or(owner);
    let start_options = i32::try_from(cluster.number("channelStartOptions")).unwrap_or(15);
    let mut config = Config { name: format!("{name}-Channel"), start_options, ..Config::default() };
    let Some(channel) = cluster.one(Kind::Channel) else { return Ok(config) };
    config.heartbeat = channel.flag("heartbeat");
    config.heartbeat_sleeptime = channel.millis("heartbeatSleeptime");
    if let Some(element) = channel.one(Kind::Membership) {
        config.membership = membership(element)?;
    }
    if let Some(element) = channel.one(Kind::Receiver) {
        config.receiver = receiver(element)?;
    }
    if let Some(element) = channel.one(Kind::Sender).and_then(|sender| sender.one(Kind::Transport)) {
        config.sender = sender(element);
    }
    let interceptors: Result<Vec<_>, String> = channel.all(Kind::Interceptor).map(interceptor).collect();
    let interceptors = interceptors?;
    if !interceptors.is_empty() {
        config.interceptors = interceptors;
    }
    Ok(config)
}

fn address(element: &Component, name: &str) -> Result<Option<IpAddr>, String> {
    let text = element.text(name).filter(|text| !text.is_empty() && !text.eq_ignore_ascii_case("auto"));
    text.map(|text| resolve(text).ok_or_else(|| format!("[{}] has no address [{text}]", element.path))).transpose()
}

/// A port that may be none.
fn port(element: &Component, name: &str) -> i32 {
    i32::try_from(element.number(name)).unwrap_or(-1)
}

fn small(element: &Component, name: &str) -> u32 {
    u32::try_from(element.number(name)).unwrap_or(0)
}

/// Bytes written as `{1,2,3}`, or as text.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let Some(list) = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Ok(text.as_bytes().to_vec());
    };
    let word = |word: &str| {
        let number: i16 = word.trim().parse().map_err(|_| format!("[{text}] is no list of bytes"))?;
        u8::try_from(number & 0xff).map_err(|_| format!("[{text}] is no list of bytes"))
    };
    list.split(',').filter(|word| !word.trim().is_empty()).map(word).collect()
}

fn domain(element: &Component) -> Result<Vec<u8>, String> {
    element.text("domain").map(bytes).transpose().map(Option::unwrap_or_default)
}

fn membership(element: &Component) -> Result<MembershipConfig, String> {
    if element.class.short() == "StaticMembershipService" {
        let (local, members) = members(element)?;
        return Ok(MembershipConfig::Static(StaticServiceConfig {
            local,
            members,
            expiration_time: element.millis("expirationTime"),
            connect_timeout: element.millis("connectTimeout"),
            rpc_timeout: element.millis("rpcTimeout"),
            use_thread: element.flag("useThread"),
            ping_interval: element.millis("pingInterval"),
        }));
    }
    let bind = if element.set("bind").is_some() { "bind" } else { "mcastBindAddress" };
    let drop_time = if element.set("mcastDropTime").is_some() { "mcastDropTime" } else { "dropTime" };
    let base = McastConfig::default();
    Ok(MembershipConfig::Mcast(McastConfig {
        address: address(element, "address")?.unwrap_or(base.address),
        port: element.port("port").unwrap_or(base.port),
        bind: address(element, bind)?,
        frequency: element.millis("frequency"),
        drop_time: element.millis(drop_time),
        ttl: small(element, "ttl"),
        domain: domain(element)?,
        payload: Vec::new(),
        local_loopback_disabled: element.flag("localLoopbackDisabled"),
        recovery_enabled: element.flag("recoveryEnabled"),
        recovery_counter: small(element, "recoveryCounter"),
        recovery_sleep_time: element.millis("recoverySleepTime"),
    }))
}

/// `<LocalMember>` and `<Member>`s.
fn members(element: &Component) -> Result<(Option<StaticMember>, Vec<StaticMember>), String> {
    let (mut local, mut others) = (None, Vec::new());
    for child in element.all(Kind::Member) {
        let member = member(child)?;
        if child.path.ends_with("/LocalMember") { local = Some(member) } else { others.push(member) }
    }
    Ok((local, others))
}

fn member(element: &Component) -> Result<StaticMember, String> {
    let name = ["host", "hostname"].into_iter().find(|name| element.set(name).is_some()).unwrap_or("host");
    let host = element.set(name).unwrap_or("127.0.0.1");
    // A host may also be written as its bytes.
    let host = match bytes(host)?.as_slice() {
        [a, b, c, d] if host.starts_with('{') => IpAddr::from([*a, *b, *c, *d]),
        _ => resolve(host).ok_or_else(|| format!("[{}] has no address [{host}]", element.path))?,
    };
    let id = element.set("uniqueId").map_or_else(|| Ok(vec![0; 16]), bytes)?;
    let id: [u8; 16] = id.try_into().map_err(|_| format!("the uniqueId of [{}] has not 16 bytes", element.path))?;
    Ok(StaticMember {
        host,
        port: element.port("port").unwrap_or(0),
        secure_port: port(element, "securePort"),
        udp_port: port(element, "udpPort"),
        unique_id: id,
        domain: domain(element)?,
    })
}

fn receiver(element: &Component) -> Result<ReceiverConfig, String> {
    let name = ["address", "host", "bind"].into_iter().find(|name| element.set(name).is_some()).unwrap_or("address");
    Ok(ReceiverConfig {
        address: address(element, name)?,
        port: element.port("port").unwrap_or(4000),
        auto_bind: u16::try_from(element.number("autoBind").max(1)).unwrap_or(100),
        secure_port: port(element, "securePort"),
        udp_port: port(element, "udpPort"),
        rx_buf_size: small(element, "rxBufSize"),
        tx_buf_size: small(element, "txBufSize"),
        tcp_no_delay: element.flag("tcpNoDelay"),
        so_keep_alive: element.flag("soKeepAlive"),
        max_threads: small(element, "maxThreads"),
        ..ReceiverConfig::default()
    })
}

fn sender(element: &Component) -> SenderConfig {
    SenderConfig {
        pool_size: element.count("poolSize"),
        max_wait: element.millis("maxWait"),
        timeout: element.millis("timeout"),
        max_retry_attempts: small(element, "maxRetryAttempts"),
        keep_alive_count: element.number("keepAliveCount"),
        keep_alive_time: element.number("keepAliveTime"),
        throw_on_failed_ack: element.flag("throwOnFailedAck"),
        rx_buf_size: small(element, "rxBufSize"),
        tx_buf_size: small(element, "txBufSize"),
        tcp_no_delay: element.flag("tcpNoDelay"),
        so_keep_alive: element.flag("soKeepAlive"),
    }
}

fn interceptor(element: &Component) -> Result<InterceptorConfig, String> {
    use InterceptorConfig as I;
    let option_flag = element.options("optionFlag");
    Ok(match element.class.short() {
        "TcpFailureDetector" => I::TcpFailureDetector(DetectorConfig {
            connect_timeout: element.millis("connectTimeout"),
            perform_send_test: element.flag("performSendTest"),
            perform_read_test: element.flag("performReadTest"),
            read_test_timeout: element.millis("readTestTimeout"),
            remove_suspects_timeout: element.millis("removeSuspectsTimeout"),
            option_flag,
        }),
        "TcpPingInterceptor" => I::TcpPing(PingConfig {
            interval: element.millis("interval"),
            use_thread: element.flag("useThread"),
            static_only: element.flag("staticOnly"),
            option_flag,
        }),
        "MessageDispatchInterceptor" => I::MessageDispatch(DispatchConfig {
            max_queue_size: element.millis("maxQueueSize"),
            always_send: element.flag("alwaysSend"),
            max_threads: element.count("maxThreads").max(1),
            option_flag,
        }),
        "StaticMembershipInterceptor" => {
            let (local, members) = members(element)?;
            I::StaticMembership(StaticMembersConfig { local, members })
        }
        "DomainFilterInterceptor" => {
            I::DomainFilter(DomainConfig { domain: domain(element)?, log_interval: element.millis("logInterval") })
        }
        "GzipInterceptor" => {
            I::Gzip(GzipConfig { compression_min_size: element.count("compressionMinSize"), ..GzipConfig::default() })
        }
        "FragmentationInterceptor" => {
            I::Fragmentation(FragmentConfig { max_size: element.count("maxSize"), expire: element.millis("expire") })
        }
        "OrderInterceptor" => I::Order(OrderConfig {
            expire: element.millis("expire"),
            forward_expired: element.flag("forwardExpired"),
            max_queue: element.count("maxQueue"),
        }),
        "ThroughputInterceptor" => I::Throughput(ThroughputConfig { interval: element.millis("interval") }),
        "EncryptInterceptor" => I::Encrypt(encrypt(element)?),
        other => return Err(format!("the interceptor [{other}] is not supported")),
    })
}

fn encrypt(element: &Component) -> Result<EncryptConfig, String> {
    let key = match (element.text("encryptionKey"), element.text("encryptionKeyString")) {
        (Some(hex), _) => from_hex(hex).ok_or_else(|| "encryptionKey is no list of hexadecimal digits".to_owned())?,
        (None, Some(text)) => text.as_bytes().to_vec(),
        (None, None) => return Err("EncryptInterceptor: no encryptionKey".to_owned()),
    };
    let format = match element.text("tandemFormat") {
        None | Some("timestamp") => EncryptFormat::Timestamp,
        Some("plain") => EncryptFormat::Plain,
        Some(other) => return Err(format!("tandemFormat is timestamp or plain, not [{other}]")),
    };
    Ok(EncryptConfig {
        algorithm: element.text("encryptionAlgorithm").unwrap_or("AES/GCM/NoPadding").to_owned(),
        key,
        format,
        replay_window_time: element.millis("replayWindowTime"),
        replay_window_message_count: element.count("replayWindowMessageCount"),
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(hex(*high)? << 4 | hex(*low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::xml::{Properties, read};

    fn settings(inside: &str) -> Result<Config, String> {
        let cluster = "org.apache.catalina.ha.tcp.SimpleTcpCluster";
        let text = format!(
            "<Server><Service><Engine><Cluster className='{cluster}'>{inside}</Cluster></Engine></Service></Server>"
        );
        let text = text.replace("t:", "org.apache.catalina.tribes.");
        let read = read("server.xml", &text, "Server", &Properties::default()).unwrap();
        assert_eq!(read.notices, []);
        let engine = read.root.one(Kind::Service).and_then(|service| service.one(Kind::Engine)).unwrap();
        config(engine.one(Kind::Cluster).unwrap(), "Catalina")
    }

    /// What an element without attributes means is written in two places: here as rows, there as values.
    #[test]
    fn elements_without_attributes_are_the_defaults_of_the_channel() {
        assert_eq!(settings(""), Ok(Config::default()));
        let written = settings(
            "<Channel className='t:group.GroupChannel'><Membership className='t:membership.McastService'/>
             <Receiver className='t:transport.nio.NioReceiver'/><Sender className='t:transport.ReplicationTransmitter'>
             <Transport className='t:transport.nio.PooledParallelSender'/></Sender>
             <Interceptor className='t:group.interceptors.MessageDispatchInterceptor'/>
             <Interceptor className='t:group.interceptors.TcpFailureDetector'/></Channel>",
        );
        assert_eq!(written, Ok(Config::default()));
    }

    #[test]
    fn static_members_and_keys_are_read() {
        let read = settings(
            "<Channel className='t:group.GroupChannel'><Membership className='t:membership.StaticMembershipService'>
             <LocalMember className='t:membership.StaticMember' port='4000' host='10.77.0.1' uniqueId='{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,-1}'/>
             <Member className='t:membership.StaticMember' port='4001' host='10.77.0.2' domain='staging'/></Membership>
             <Interceptor className='t:group.interceptors.EncryptInterceptor' encryptionKey='cafebabecafebabecafebabecafebabe'/>
             <Interceptor className='t:group.interceptors.TcpFailureDetector'/></Channel>",
        )
        .unwrap();
        let MembershipConfig::Static(service) = read.membership else { panic!("not static") };
        assert_eq!(service.local.map(|member| member.unique_id[15]), Some(255));
        let member = &service.members[0];
        assert_eq!(
            (member.host, member.port, member.domain.as_slice()),
            (IpAddr::from([10, 77, 0, 2]), 4001, &b"staging"[..])
        );
        let InterceptorConfig::Encrypt(encrypt) = &read.interceptors[0] else { panic!("not encrypted") };
        assert_eq!(encrypt.key, [0xca, 0xfe, 0xba, 0xbe].repeat(4));
        let bad = "<Channel className='t:group.GroupChannel'><Interceptor className='t:group.interceptors.EncryptInterceptor'/></Channel>";
        assert!(settings(bad).is_err());
    }
}
