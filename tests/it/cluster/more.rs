//! Other managers, interceptors and send options beside real Tomcats.

use super::lab::{Kind, Lab, PATIENCE};
use super::{Attributes, DEFAULT, channel, full_session, settle};
use crate::support::wait_for;

const BACKUP: &str = "<Cluster className='org.apache.catalina.ha.tcp.SimpleTcpCluster' channelSendOptions='6'>\
    <Manager className='org.apache.catalina.ha.session.BackupManager' mapSendOptions='6'/></Cluster>";

/// Waits until the survivors know that a node is gone.
fn gone(lab: &Lab, number: usize, survivors: &[usize]) {
    survivors.iter().for_each(|survivor| lab.misses(*survivor, number));
}

/// Every node shows all of it, and a Tomcat the object that ours cannot read as its owner wrote it.
fn on_all(lab: &Lab, nodes: &[usize], id: &str, expected: &Attributes) -> String {
    let mut id = id.to_owned();
    for node in nodes {
        id = lab.shows(*node, &id, expected);
        if lab.nodes[*node - 1].kind == Kind::Tomcat {
            // Where it is now: the others may not know its new id yet.
            let shown = lab.ask(*node, "", Some(&id)).unwrap();
            assert_eq!(shown.attributes["of-pojo"].1, "p/42/WILD/true");
        }
    }
    id
}

/// Each session on two nodes: it is fetched where it is asked for, and outlives each kind.
#[test]
fn backup_manager() {
    let Some(mut lab) = Lab::new("backup_manager", &[Kind::Tomcat, Kind::Tomcat, Kind::Tandem]) else { return };
    lab.configure(BACKUP, &[]);
    for number in [1, 3, 2] {
        lab.start(number);
    }
    lab.share_a_map(&[1, 2, 3]);
    let (id, mut expected) = full_session(&lab, 1);
    let id = on_all(&lab, &[3, 2, 1], &id, &expected);
    let id = lab.shows(3, &id, &expected);
    lab.ask(3, "op=set&name=ours&type=long&value=7", Some(&id)).unwrap();
    expected.insert("ours".to_owned(), ("java.lang.Long".to_owned(), "7".to_owned()));

    // Ours is responsible for it now; whoever has the copy gives it.
    lab.kill(3);
    gone(&lab, 3, &[1, 2]);
    lab.unshared(3, &[1, 2]);
    let id = on_all(&lab, &[1, 2], &id, &expected);
    lab.start(3);
    lab.share_a_map(&[1, 2, 3]);
    let id = on_all(&lab, &[3], &id, &expected);
    lab.kill(1);
    gone(&lab, 1, &[2, 3]);
    lab.unshared(1, &[2, 3]);
    let id = on_all(&lab, &[2, 3], &id, &expected);
    lab.stop(2);
    gone(&lab, 2, &[3]);
    lab.unshared(2, &[3]);
    let id = on_all(&lab, &[3], &id, &expected);
    lab.start(1);
    lab.start(2);
    lab.share_a_map(&[1, 2, 3]);
    let id = on_all(&lab, &[1, 2, 3], &id, &expected);
    let old = lab.ask(3, "op=changeid", Some(&id)).unwrap().id;
    let id = on_all(&lab, &[2], &old, &expected);
    lab.ask(2, "op=invalidate", Some(&id));
    wait_for("the end of the session", PATIENCE, || lab.ask(1, "", Some(&id)).is_none().then_some(()));
}

/// Every Tomcat restarted one after the other while ours stays: no session is lost.
#[test]
fn a_rolling_restart() {
    let Some(mut lab) = Lab::new("rolling_restart", &[Kind::Tomcat, Kind::Tomcat, Kind::Tandem]) else { return };
    lab.configure(DEFAULT, &[]);
    for number in [3, 1, 2] {
        lab.start(number);
    }
    lab.acquainted(&[1, 2, 3]);
    let (first, of_first) = full_session(&lab, 1);
    let (second, of_second) = full_session(&lab, 2);
    lab.shows(3, &first, &of_first);
    lab.shows(3, &second, &of_second);
    let (mut first, mut second) = (first.replace(".n1", ".n3"), second.replace(".n2", ".n3"));
    for number in [1, 2] {
        lab.stop(number);
        gone(&lab, number, &[3, 3 - number]);
        lab.start(number);
        assert!(lab.log(number).contains("session state sent at"), "node {number} was not given the sessions");
        lab.acquainted(&[1, 2, 3]);
        // The last time also where it was not restarted.
        for at in if number == 1 { &[1, 3][..] } else { &[2, 3, 1, 2] } {
            first = on_all(&lab, &[*at], &first, &of_first);
            second = on_all(&lab, &[*at], &second, &of_second);
            settle(&lab, *at, &lab.others(*at));
        }
    }
}

/// What a Tomcat's request sets in the session it makes is here, in whatever order it came.
#[test]
fn changes_wait_for_their_session() {
    let Some(mut lab) = Lab::new("early_changes", &[Kind::Tomcat, Kind::Tandem]) else { return };
    lab.configure(DEFAULT, &[]);
    lab.start(1);
    lab.start(2);
    lab.acquainted(&[1, 2]);
    let ids: Vec<String> =
        (0..60).map(|n| lab.ask(1, &format!("op=set&name=first&type=int&value={n}"), None).unwrap().id).collect();
    for (n, id) in ids.iter().enumerate() {
        let expected = [("first".to_owned(), ("java.lang.Integer".to_owned(), n.to_string()))];
        lab.shows(2, id, &Attributes::from(expected));
    }
}

/// Interceptors and UDP: a session there and back.
#[test]
fn interceptors() {
    let Some(mut lab) = Lab::new("interceptors", &[Kind::Tomcat, Kind::Tandem]) else { return };
    let interceptor = |name: &str, more: &str| format!("<Interceptor className='t:group.interceptors.{name}' {more}/>");
    let last = interceptor("TcpFailureDetector", "") + &interceptor("MessageDispatchInterceptor", "");
    let with = |first: &str| channel(&format!("{first}{last}"));
    let membership = "<Membership className='t:membership.McastService' domain='blue'/>";
    let udp = "<Receiver className='t:transport.nio.NioReceiver' address='@IP@' port='4000' udpPort='4050'/>";
    for (name, cluster) in [
        ("gzip", with(&interceptor("GzipInterceptor", ""))),
        (
            "order",
            with(&(interceptor("OrderInterceptor", "") + &interceptor("FragmentationInterceptor", "maxSize='400'"))),
        ),
        (
            "domain",
            with(
                &(membership.to_owned()
                    + &interceptor("TcpPingInterceptor", "interval='500' useThread='true'")
                    + &interceptor("DomainFilterInterceptor", "domain='blue'")
                    + &interceptor("ThroughputInterceptor", "")),
            ),
        ),
        ("udp", with(udp).replacen("SimpleTcpCluster'", "SimpleTcpCluster' channelSendOptions='32'", 1)),
    ] {
        println!("{name}");
        lab.configure(&cluster, &[]);
        lab.start(2);
        lab.start(1);
        lab.acquainted(&[1, 2]);
        assert!(!lab.log(1).contains("timing out after"), "{}", lab.log(1));
        // A Tomcat that has a TCP connection to a member cannot send it datagrams: it fails there, also with the news
        // of the id it gives the session that is asked for. It hears them.
        if name == "udp" {
            // Looking at it may be too early, and changes the session there for good: then it is another one's turn.
            wait_for("a session that came by UDP", PATIENCE, || {
                let id = lab.ask(2, "op=set&name=a&type=int&value=1", None).unwrap().id;
                lab.ask(2, "op=set&name=b&type=string&value=x", Some(&id)).unwrap();
                lab.ask(1, "", Some(&id)).filter(|shown| shown.attributes.len() == 2)
            });
        } else {
            let (id, mut expected) = full_session(&lab, 1);
            let id = on_all(&lab, &[2], &id, &expected);
            settle(&lab, 2, &[1]);
            lab.ask(2, "op=set&name=ours&type=long&value=7", Some(&id)).unwrap();
            expected.insert("ours".to_owned(), ("java.lang.Long".to_owned(), "7".to_owned()));
            settle(&lab, 2, &[1]);
            on_all(&lab, &[1], &id, &expected);
        }
        assert!(!lab.log(2).contains("SEVERE"), "{name}: {}", lab.log(2));
        lab.kill(1);
        assert_eq!(lab.stop(2), Some(0), "{name}");
    }
}

/// Members of another domain are none.
#[test]
fn other_domains_are_kept_out() {
    let Some(mut lab) = Lab::new("domains", &[Kind::Tomcat, Kind::Tandem, Kind::Tandem]) else { return };
    let of = |domain: &str| {
        channel(&format!(
            "<Membership className='t:membership.McastService' domain='{domain}'/>\
             <Interceptor className='t:group.interceptors.TcpFailureDetector'/>\
             <Interceptor className='t:group.interceptors.MessageDispatchInterceptor'/>\
             <Interceptor className='t:group.interceptors.DomainFilterInterceptor' domain='{domain}'/>"
        ))
        // Acknowledged: what is replicated is there when the response comes.
        .replacen("SimpleTcpCluster'", "SimpleTcpCluster' channelSendOptions='6'", 1)
    };
    lab.configure(&of("red"), &[]);
    lab.start(3);
    lab.configure(&of("blue"), &[]);
    lab.start(1);
    lab.start(2);
    lab.acquainted(&[1, 2]);
    let id = lab.ask(1, "op=set&name=a&type=int&value=1", None).unwrap().id;
    lab.ask(1, "op=set&name=b&type=int&value=1", Some(&id)).unwrap();
    lab.holds(2, &id, "b");
    assert!(!lab.log(3).contains("Replication member added"), "{}", lab.log(3));
    let known = lab.log(1);
    let third = |line: &&str| line.contains("Replication member added") && line.contains("{10, 77, 0, 3}");
    assert_eq!(known.lines().find(third), None);
}

/// Members that are listed, without any multicast.
#[test]
fn listed_members() {
    let Some(mut lab) = Lab::new("listed_members", &[Kind::Tomcat, Kind::Tandem]) else { return };
    let listed = |own: usize, other: usize| {
        let id = |number: usize| format!("uniqueId='{{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,{number}}}'");
        let channel = channel(&format!(
            "<Receiver className='t:transport.nio.NioReceiver' address='@IP@' port='4000'/>\
             <Interceptor className='t:group.interceptors.TcpPingInterceptor'/>\
             <Interceptor className='t:group.interceptors.TcpFailureDetector'/>\
             <Interceptor className='t:group.interceptors.MessageDispatchInterceptor'/>\
             <Interceptor className='t:group.interceptors.StaticMembershipInterceptor'>\
             <LocalMember className='t:membership.StaticMember' {}/>\
             <Member className='t:membership.StaticMember' port='4000' host='10.77.0.{other}' {}/></Interceptor>",
            id(own),
            id(other)
        ));
        channel.replacen("SimpleTcpCluster'", "SimpleTcpCluster' channelSendOptions='6' channelStartOptions='3'", 1)
    };
    // Tomcat calls those that it was told of by another name.
    const LISTED: &str =
        "Replication member added:[org.apache.catalina.tribes.membership.StaticMember[tcp://10.77.0.2:";
    for (own, other) in [(1, 2), (2, 1)] {
        lab.configure(&listed(own, other), &[]);
        lab.start(own);
    }
    lab.wait_for_line(1, LISTED);
    lab.knows(2, 1);
    let (id, mut expected) = full_session(&lab, 1);
    let id = on_all(&lab, &[2], &id, &expected);
    lab.ask(2, "op=set&name=ours&type=long&value=7", Some(&id)).unwrap();
    expected.insert("ours".to_owned(), ("java.lang.Long".to_owned(), "7".to_owned()));
    let id = on_all(&lab, &[1], &id, &expected);
    lab.kill(1);
    gone(&lab, 1, &[2]);
    lab.configure(&listed(1, 2), &[]);
    lab.start(1);
    lab.wait_for_line(1, LISTED);
    on_all(&lab, &[1, 2], &id, &expected);
}
