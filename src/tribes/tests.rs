use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::config::{
    Config, DetectorConfig, DomainConfig, InterceptorConfig, Limits, McastConfig, MembershipConfig, PingConfig,
    ReceiverConfig, StaticMember, StaticMembersConfig, StaticServiceConfig, start,
};
use super::core::{Action, Core, Input};
use super::rpc::{Received, Router, Wait};
use super::sim::Net;
use super::stack::Now;
use super::{Channel, Event, Events, Member, Message, Options, Post, Quick, To};
use crate::codec::tribes::{ChannelData, OVERHEAD, Reply, frame, reply_frame};

fn detector() -> InterceptorConfig {
    InterceptorConfig::TcpFailureDetector(DetectorConfig::default())
}

fn listed(host: [u8; 4], port: u16, id: u8) -> StaticMember {
    let (host, unique_id) = (IpAddr::from(host), [id; 16]);
    StaticMember { host, port, secure_port: -1, udp_port: -1, unique_id, domain: Vec::new() }
}

fn core(config: &Config) -> Core {
    let mut core = Core::new(config, Member::new([10, 0, 0, 1].into(), 4000, [1; 16]), [0; 32], Now::default());
    core.start(Now::default());
    core.actions();
    core
}

fn peer(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 50_000))
}

fn message(len: usize, options: Options) -> Vec<u8> {
    let source = Member::new([10, 0, 0, 2].into(), 4000, [2; 16]);
    let message = vec![b'x'; len].into();
    let data = ChannelData { options, timestamp: 0, unique_id: [0; 16], source, message };
    let mut bytes = Vec::new();
    frame(&mut bytes, |out| data.encode(out));
    bytes
}

fn closed(core: &mut Core) -> usize {
    core.actions().filter(|action| matches!(action, Action::Close(_))).count()
}

/// A frame that never ends is given up, and costs what has arrived of it.
#[test]
fn a_frame_that_never_ends_is_given_up() {
    let mut core = core(&Config::default());
    let conn = core.accepted(Now::default(), peer(2)).unwrap();
    core.input(Now::default(), conn, &Input::Read(&message(1000, Options(0))[..500]));
    let stall = Limits::default().stall;
    core.tick(Now { tick: stall - 1, wall: 0 });
    assert_eq!(closed(&mut core), 0);
    core.tick(Now { tick: stall, wall: 0 });
    assert_eq!(closed(&mut core), 1);
}

/// Long frames are for members; a stranger's length is refused before its bytes come.
#[test]
fn strangers_send_little() {
    let mut core = core(&Config::default());
    let long = message(Limits::default().stranger_frame + 1, Options(2));
    let conn = core.accepted(Now::default(), peer(2)).unwrap();
    core.input(Now::default(), conn, &Input::Read(&long[..11]));
    assert_eq!(closed(&mut core), 1);
    let mut heartbeat = Vec::new();
    Member { alive: 1, ..Member::new([10, 0, 0, 2].into(), 4000, [2; 16]) }.encode(&mut heartbeat);
    core.multicast(Now::default(), &heartbeat.into());
    let conn = core.accepted(Now::default(), peer(2)).unwrap();
    core.input(Now::default(), conn, &Input::Read(&long));
    let delivered = core.actions().filter(|action| matches!(action, Action::Deliver(_))).count();
    assert_eq!(delivered, 1);
}

/// A state transfer is one frame: its memory goes with the message, not with the connection.
#[test]
fn a_long_message_owns_its_memory() {
    let mut core = core(&Config::default());
    let conn = core.accepted(Now::default(), peer(2)).unwrap();
    let mut bytes = message(100_000, Options(0));
    bytes.extend(&message(10, Options(0))[..20]);
    core.input(Now::default(), conn, &Input::Read(&bytes));
    let actions: Vec<Action> = core.actions().collect();
    let [Action::Deliver(incoming)] = &actions[..] else { panic!("{actions:?}") };
    assert!(incoming.data.message.len() == 100_000 && incoming.data.message.is_unique());
    core.input(Now::default(), conn, &Input::Read(&message(10, Options(0))[20..]));
    assert_eq!(core.actions().filter(|action| matches!(action, Action::Deliver(_))).count(), 1);
}

/// Garbage is thrown away with one line in the log, and the member goes on.
#[test]
fn garbage_is_survived() {
    let mut core = core(&Config::default());
    let conn = core.accepted(Now::default(), peer(2)).unwrap();
    for _ in 0..3 {
        core.input(Now::default(), conn, &Input::Read(b"0123456789"));
    }
    let texts: Vec<String> =
        core.actions().filter_map(|a| if let Action::Log(.., t) = a { Some(t) } else { None }).collect();
    assert_eq!(texts, ["Discarded the package, invalid header"]);
    // Well formed around three bytes that mean nothing.
    core.input(Now::default(), conn, &Input::Read(b"FLT2002\0\0\0\x03abcTLF2003"));
    assert_eq!(core.actions().count(), 0);
    core.input(Now::default(), conn, &Input::Read(&message(10, Options(2))));
    let actions: Vec<Action> = core.actions().collect();
    assert!(matches!(&actions[..], [Action::Write(of, ack), Action::Deliver(_)]
        if *of == conn && ack.len() == OVERHEAD + 3));
    for _ in 0..20 {
        core.input(Now::default(), conn, &Input::Read(b"0123456789"));
    }
    assert_eq!(closed(&mut core), 1, "garbage for ever");
}

/// A synchronous acknowledgement waits for the application, and tells what it says.
#[test]
fn processing_is_acknowledged() {
    for good in [true, false] {
        let mut core = core(&Config::default());
        let conn = core.accepted(Now::default(), peer(2)).unwrap();
        core.input(Now::default(), conn, &Input::Read(&message(10, Options(6))));
        let actions: Vec<Action> = core.actions().collect();
        let [Action::Deliver(incoming)] = &actions[..] else { panic!("{actions:?}") };
        core.processed(Now::default(), incoming.receipt.unwrap(), good);
        let actions: Vec<Action> = core.actions().collect();
        let [Action::Write(_, bytes)] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(&bytes[11..14], if good { [6, 2, 3] } else { [11, 0, 5] });
    }
}

/// Members that deal with messages in order get those of a train without a pause, over one connection, also when it has
/// to be made anew.
#[test]
fn a_train_goes_over_one_connection() {
    let now = Now::default();
    // Nobody is tried before they are members.
    let mut core = core(&Config { interceptors: Vec::new(), ..Config::default() });
    let member = |n: u8, payload: &[u8]| {
        let mut heartbeat = Vec::new();
        let payload = payload.to_vec();
        Member { alive: 1, payload, ..Member::new([10, 0, 0, n].into(), 4000, [n; 16]) }.encode(&mut heartbeat);
        heartbeat.into()
    };
    core.multicast(now, &member(2, b"tandem"));
    assert!(core.in_order(None));
    drop(core.actions());
    (0..3).for_each(|n| core.send(now, None, vec![n].into(), Options(6), n.into(), 7));
    let connect = |core: &mut Core| {
        let mut made =
            core.actions().filter_map(|action| if let Action::Connect(conn, _) = action { Some(conn) } else { None });
        let (conn, more) = (made.next().unwrap(), made.next());
        assert_eq!(more, None);
        drop(made);
        core.input(now, conn, &Input::Connected);
        let written: Vec<usize> =
            core.actions().map(|action| if let Action::Write(_, bytes) = action { bytes.len() } else { 0 }).collect();
        core.input(now, conn, &Input::Wrote(written.iter().sum()));
        (conn, written.len())
    };
    let sent = |core: &mut Core| -> Vec<u64> {
        core.actions()
            .filter_map(|action| match action {
                Action::Sent(request, failed) if failed.is_empty() => Some(request),
                _ => None,
            })
            .collect()
    };
    let (first, count) = connect(&mut core);
    assert_eq!(count, 3);
    core.input(now, first, &Input::Read(&reply_frame(Reply::Ack)));
    assert_eq!(sent(&mut core), [0]);
    core.input(now, first, &Input::Closed(std::io::ErrorKind::ConnectionReset));
    let (second, count) = connect(&mut core);
    assert_eq!(count, 2);
    core.input(now, second, &Input::Read(&[reply_frame(Reply::Ack), reply_frame(Reply::Ack)].concat()));
    assert_eq!(sent(&mut core), [1, 2]);
    core.multicast(now, &member(3, b""));
    assert!(!core.in_order(None), "a Tomcat does not");
}

/// Too many members, connections and bytes are refused; what is broken is not believed.
#[test]
fn membership_is_bounded() {
    let config = Config { limits: Limits { members: 3, connections: 2, ..Limits::default() }, ..Config::default() };
    let mut core = core(&config);
    for id in 0..10 {
        let mut heartbeat = Vec::new();
        Member::new([10, 0, 0, 2].into(), 4000, [id; 16]).encode(&mut heartbeat);
        core.multicast(Now::default(), &heartbeat[..heartbeat.len() - 3].to_vec().into());
        core.multicast(Now::default(), &heartbeat.into());
    }
    let asked = core.actions().filter(|action| matches!(action, Action::Connect(..))).count();
    assert_eq!(asked, 3);
    let accepted = (0..5).filter_map(|n| core.accepted(Now::default(), peer(n))).count();
    assert_eq!(accepted, 2);
}

/// Only members of our domain are let through, and only their messages.
#[test]
fn domains_are_kept_apart() {
    let mcast = McastConfig { domain: b"blue".to_vec(), ..McastConfig::default() };
    let filter = |domain: &[u8]| {
        InterceptorConfig::DomainFilter(DomainConfig { domain: domain.to_vec(), ..DomainConfig::default() })
    };
    let config = |domain| Config {
        membership: MembershipConfig::Mcast(mcast.clone()),
        interceptors: vec![filter(domain), detector()],
        ..Config::default()
    };
    for (domain, expected) in [(&b"blue"[..], 1), (b"red", 0)] {
        let mut net = Net::new(1, 2, config(domain));
        (0..2).for_each(|at| net.start(at));
        net.run(10_000);
        assert_eq!(net.nodes[0].view.len(), expected, "{domain:?}");
    }
}

/// Listed members find each other without multicast, by the interceptor and by the service.
#[test]
fn listed_members_find_each_other() {
    let members: Vec<StaticMember> = (1..=3).map(|n| listed([10, 0, 0, n], 4000, n)).collect();
    let interceptors = vec![
        InterceptorConfig::TcpPing(PingConfig::default()),
        detector(),
        InterceptorConfig::StaticMembership(StaticMembersConfig { local: None, members: members.clone() }),
    ];
    let by_interceptor = Config { start_options: start::SND_RX | start::SND_TX, interceptors, ..Config::default() };
    let service = StaticServiceConfig { members, ..StaticServiceConfig::default() };
    let by_service =
        Config { membership: MembershipConfig::Static(service), interceptors: vec![detector()], ..Config::default() };
    for (config, own) in [(by_interceptor, true), (by_service, false)] {
        let mut net = Net::new(5, 3, config);
        if own {
            net.own_ids();
        }
        (0..3).for_each(|at| net.start(at));
        net.run(12_000);
        for at in 0..3 {
            assert_eq!(net.nodes[at].core.members().len(), 2, "member {at} (interceptor: {own})");
        }
        let request = net.send(0, None, Bytes::from_static(b"hello"), Options(6));
        net.run(1000);
        assert_eq!(net.nodes[0].outcomes.get(&request), Some(&Vec::new()));
        net.end(2, true);
        net.run(2000);
        assert_eq!(net.nodes[0].core.members().len(), 1, "after a good-bye (interceptor: {own})");
        net.end(1, false);
        net.run(20_000);
        assert_eq!(net.nodes[0].core.members().len(), 0, "after a crash (interceptor: {own})");
        net.start(1);
        net.run(12_000);
        assert_eq!(net.nodes[0].core.members().len(), 1, "after a return (interceptor: {own})");
    }
}

/// The network splits: each side sees itself; it heals: all see all.
#[test]
fn a_split_is_seen_and_heals() {
    let mut net = Net::new(9, 4, Config::default());
    (0..4).for_each(|at| net.start(at));
    net.run(10_000);
    net.split(HashSet::from([2, 3]));
    net.run(20_000);
    assert_eq!([0, 1, 2, 3].map(|at| net.nodes[at].core.members().len()), [1; 4]);
    net.split(HashSet::new());
    net.run(10_000);
    assert_eq!([0, 1, 2, 3].map(|at| net.nodes[at].core.members().len()), [3; 4]);
}

/// Two channels on loopback that list each other.
fn pair() -> [(Channel, Events); 2] {
    pair_with(|_| None)
}

/// The same, each with what deals with short messages.
fn pair_with(quick: impl Fn(usize) -> Option<Quick>) -> [(Channel, Events); 2] {
    let ports = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let ports = ports.map(|listener| listener.local_addr().unwrap().port());
    let member = |at: usize| listed([127, 0, 0, 1], ports[at], u8::try_from(at + 1).unwrap());
    [0, 1].map(|at| {
        let statics = StaticMembersConfig { local: Some(member(at)), members: vec![member(1 - at)] };
        let dispatch = InterceptorConfig::MessageDispatch(Default::default());
        let config = Config {
            start_options: start::SND_RX | start::SND_TX,
            heartbeat_sleeptime: 100,
            receiver: ReceiverConfig {
                address: Some(Ipv4Addr::LOCALHOST.into()),
                port: ports[at],
                ..ReceiverConfig::default()
            },
            interceptors: vec![dispatch, detector(), InterceptorConfig::StaticMembership(statics)],
            ..Config::default()
        };
        Channel::open_with(config, Box::new(|_, _, _| {}), quick(at)).unwrap()
    })
}

async fn added(events: &mut Events) {
    while !matches!(events.next().await, Some(Event::MemberAdded(_))) {}
}

async fn next_message(events: &mut Events) -> Message {
    loop {
        if let Event::Message(message) = events.next().await.unwrap() {
            return message;
        }
    }
}

fn block_on<T>(limit: u64, work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(limit), work).await.unwrap() })
}

/// Questions are answered, refused where nobody has the channel, and not waited for any longer than said.
#[test]
fn questions_are_answered() {
    let [(a, mut a_events), (b, mut b_events)] = pair();
    block_on(20, async {
        added(&mut a_events).await;
        added(&mut b_events).await;
        let (asker, answerer) = (Router::new(a.clone()), Router::new(b.clone()));
        answerer.register(b"map");
        let pump = async {
            loop {
                let message = next_message(&mut b_events).await;
                if let Received::Question(question) = answerer.receive(message) {
                    assert_eq!(&question.object[..], b"t\0\x01?");
                    answerer.answer(question, b"t\0\x01!");
                }
            }
        };
        let back = async {
            loop {
                let message = next_message(&mut a_events).await;
                assert!(matches!(asker.receive(message), Received::Done));
            }
        };
        let limit = Duration::from_secs(10);
        let work = async {
            let answers = asker.ask(b"map", a.members(), b"t\0\x01?", Wait::All, Options(6), limit).await;
            assert_eq!(answers.len(), 1);
            assert_eq!(answers[0].object[..], b"t\0\x01!"[..]);
            assert!(answers[0].from.same(&a.members()[0]));
            let refused = asker.ask(b"other", a.members(), b"t\0\x01?", Wait::All, Options(2), limit).await;
            assert_eq!(refused.len(), 0, "it has no such channel, and says so at once");
        };
        tokio::select! { () = pump => {}, () = back => {}, () = work => {} }
    });
}

/// A long message arrives whole, and a channel that is stopped fails what is sent on it.
#[test]
fn channels_work_on_sockets() {
    let [(a, mut a_events), (b, mut b_events)] = pair();
    block_on(60, async {
        added(&mut a_events).await;
        added(&mut b_events).await;
        let long: Bytes = (0..50_000_000u32).map(|n| n.to_be_bytes()[3]).collect::<Vec<u8>>().into();
        let sending = a.send(a.members(), long.clone(), Options(7));
        let message = next_message(&mut b_events).await;
        assert_eq!((message.options, &message.payload), (Options(7), &long));
        drop(message);
        sending.outcome().await.unwrap();
        for n in 0..1000u32 {
            a.send(a.members(), n.to_be_bytes().to_vec(), Options(8));
        }
        for n in 0..1000u32 {
            assert_eq!(next_message(&mut b_events).await.payload[..], n.to_be_bytes(), "in order");
        }
        b.stop();
        while !matches!(b_events.next().await, Some(Event::Stopped)) {}
        assert!(b_events.next().await.is_none());
        assert!(b.send(b.members(), "x", Options(8)).outcome().await.is_err());
        while !matches!(a_events.next().await, Some(Event::MemberDisappeared(_))) {}
        assert_eq!(a.members().len(), 0);
    });
}

/// Messages that follow each other arrive in order, each once the one before was acknowledged, whatever became of it;
/// their sender hears of them all at once.
#[test]
fn messages_are_sent_in_turn() {
    let [(a, mut a_events), (b, mut b_events)] = pair();
    block_on(60, async {
        added(&mut a_events).await;
        added(&mut b_events).await;
        let stranger = Member::new([127, 0, 0, 1].into(), 1, [9; 16]);
        let post = |to: To, n: u8, options| Post { to, message: vec![n].into(), options: Options(options) };
        let posts =
            vec![post(To::All, 0, 6), post(stranger.clone().into(), 1, 6), post(To::All, 2, 8), post(To::All, 3, 6)];
        let mut sending = Box::pin(a.send_in_turn(posts).outcome());
        // Dropping a message acknowledges it.
        let first = next_message(&mut b_events).await;
        assert_eq!(first.payload[..], [0]);
        let early = tokio::time::timeout(Duration::from_millis(50), b_events.next()).await;
        assert!(early.is_err(), "nothing comes before the first is dealt with: {early:?}");
        drop(first);
        for n in [2, 3] {
            let message = next_message(&mut b_events).await;
            assert_eq!(message.payload[..], [n]);
            let waits = tokio::time::timeout(Duration::ZERO, &mut sending).await;
            assert!(waits.is_err(), "{waits:?}");
        }
        let failed = sending.await.unwrap_err().failed;
        assert_eq!(failed.iter().map(|failed| &failed.member).collect::<Vec<_>>(), [&stranger]);
        drop(b);
    });
}

/// Short messages that are dealt with where they are read do not overtake long ones that wait for the application, and
/// whoever waits for their acknowledgement gets it.
#[test]
fn short_messages_are_dealt_with_in_order() {
    let seen: Arc<Mutex<Vec<(bool, u32)>>> = Arc::default();
    let number = |message: &Message| u32::from_be_bytes(message.payload[..4].try_into().unwrap());
    let [(a, mut a_events), (_b, mut b_events)] = pair_with(|at| {
        let seen = Arc::clone(&seen);
        let quick = move |message: &Message| {
            seen.lock().unwrap().push((true, number(message)));
            true
        };
        (at == 1).then(|| Box::new(quick) as Quick)
    });
    block_on(60, async {
        added(&mut a_events).await;
        added(&mut b_events).await;
        const ALL: u32 = 600;
        for n in 0..ALL {
            // Every third is too long.
            let mut message = n.to_be_bytes().to_vec();
            message.resize(if n % 3 == 1 { 40_000 } else { 4 }, 0);
            a.send(a.members(), message, Options(8));
        }
        let events = async {
            loop {
                let message = next_message(&mut b_events).await;
                seen.lock().unwrap().push((false, number(&message)));
                if number(&message) == ALL {
                    return;
                }
            }
        };
        let acked = async {
            while seen.lock().unwrap().len() < ALL as usize {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // Sooner or later one finds nothing before it.
            while seen.lock().unwrap().last().is_none_or(|last| *last != (true, 0)) {
                a.send(a.members(), vec![0; 4], Options(6)).outcome().await.unwrap();
            }
            let mut last = ALL.to_be_bytes().to_vec();
            last.resize(40_000, 0);
            a.send(a.members(), last, Options(6)).outcome().await.unwrap();
        };
        tokio::join!(events, acked);
    });
    let seen = seen.lock().unwrap();
    let (numbers, rest) = seen.split_at(600);
    assert_eq!(numbers.iter().map(|(_, number)| *number).collect::<Vec<_>>(), (0..600).collect::<Vec<_>>());
    assert!(numbers.iter().all(|(quick, number)| !quick || number % 3 != 1), "long ones are events");
    assert!(rest.ends_with(&[(true, 0), (false, 600)]), "{rest:?}");
}
